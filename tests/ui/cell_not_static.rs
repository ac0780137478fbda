//! A fiber lives in a static.
//@ code: E0597
//@ says: does not live long enough
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::{platform::Host, scheduler::{FiberCell, Scheduler}};

static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
#[cfg(feature = "fixed")]
static cell: FiberCell<65536> = FiberCell::new();

fn main() {
    #[cfg(not(feature = "fixed"))]
    let cell: FiberCell<65536> = FiberCell::new();
    SCHEDULER.spawn(&cell, || ()).unwrap().detach();
}
