//! What a fiber returns may go to another core.
//@ code: E0277
//@ says: cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::{platform::Host, scheduler::{FiberCell, Scheduler}};
#[cfg(not(feature = "fixed"))]
use std::rc::Rc;
#[cfg(feature = "fixed")]
use std::sync::Arc as Rc;

static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
static CELL: FiberCell<65536> = FiberCell::new();

fn main() {
    SCHEDULER.spawn(&CELL, || Rc::new(5)).unwrap().detach();
}
