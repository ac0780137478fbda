//! What a hook is told of a deadlock does not outlive the call.
//@ code: E0521
//@ says: borrowed data escapes outside of method
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{AfterDeadlock, Deadlock, Hooks, Report, WaitCycle};
use std::cell::Cell;

std::thread_local! {
    static KEPT: Cell<Option<WaitCycle<'static>>> = const { Cell::new(None) };
}

struct Kernel;

impl Hooks for Kernel {
    fn report(&self, report: &Report<'_>) {}

    fn deadlocked(&self, deadlock: &Deadlock<'_>) -> AfterDeadlock {
        #[cfg(not(feature = "fixed"))]
        KEPT.set(deadlock.cycle());
        AfterDeadlock::Wait
    }
}

fn main() {}
