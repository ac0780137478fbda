//! A result is taken once.
//@ code: E0382
//@ says: use of moved value
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::{platform::Host, scheduler::{FiberCell, Scheduler}};

static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
static CELL: FiberCell<65536> = FiberCell::new();

fn main() {
    let handle = SCHEDULER.spawn(&CELL, || 5).unwrap();
    let first = handle.try_join();
    #[cfg(not(feature = "fixed"))]
    let second = handle.try_join();
}
