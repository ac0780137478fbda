//! A scheduler lasts for ever.
//@ code: E0597
//@ says: does not live long enough
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::{platform::Host, scheduler::{FiberCell, Scheduler}};

static CELL: FiberCell<65536> = FiberCell::new();
#[cfg(feature = "fixed")]
static scheduler: Scheduler<Host> = Scheduler::new(Host::new());

fn main() {
    #[cfg(not(feature = "fixed"))]
    let scheduler: Scheduler<Host> = Scheduler::new(Host::new());
    scheduler.spawn(&CELL, || ()).unwrap().detach();
}
