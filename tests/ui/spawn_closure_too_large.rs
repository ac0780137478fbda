//! A closure too large for its cell does not compile.
//@ code: E0080
//@ says: too large for this cell
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::{platform::Host, scheduler::{FiberCell, Scheduler}};

static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
static CELL: FiberCell<4096> = FiberCell::new();

fn main() {
    #[cfg(not(feature = "fixed"))]
    let bytes = [1_u8; 4096];
    #[cfg(feature = "fixed")]
    let bytes = [1_u8; 64];
    SCHEDULER.spawn(&CELL, move || bytes[7]).unwrap().detach();
}
