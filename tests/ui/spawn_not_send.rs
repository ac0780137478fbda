//! What a fiber captures may go to another core.
//@ code: E0277
//@ says: `Rc<i32>` cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::{platform::Host, scheduler::{FiberCell, Scheduler}};
#[cfg(not(feature = "fixed"))]
use std::rc::Rc;
#[cfg(feature = "fixed")]
use std::sync::Arc as Rc;

static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
static CELL: FiberCell<65536> = FiberCell::new();

fn main() {
    let number = Rc::new(5);
    SCHEDULER.spawn(&CELL, move || drop(number)).unwrap().detach();
}
