//! One handle, so one who takes the result.
//@ code: E0599
//@ says: no method named `clone`
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::{platform::Host, scheduler::{FiberCell, Scheduler}};

static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
static CELL: FiberCell<65536> = FiberCell::new();

fn main() {
    let handle = SCHEDULER.spawn(&CELL, || 5).unwrap();
    #[cfg(not(feature = "fixed"))]
    let second = handle.clone();
}
