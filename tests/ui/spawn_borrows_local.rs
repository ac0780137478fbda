//! A fiber cannot borrow a local.
//@ code: E0597
//@ says: does not live long enough
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::{platform::Host, scheduler::{FiberCell, Scheduler}};

static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
static CELL: FiberCell<65536> = FiberCell::new();

fn main() {
    let number = 5;
    #[cfg(not(feature = "fixed"))]
    let number = &number;
    SCHEDULER.spawn(&CELL, move || number + 1).unwrap().detach();
}
