//! What a hook is told of a stall does not outlive the call.
//@ code: E0521
//@ says: borrowed data escapes outside of method
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{AfterStall, Hooks, Report, Stall, WaitCycle};
use std::cell::Cell;

std::thread_local! {
    static KEPT: Cell<Option<WaitCycle<'static>>> = const { Cell::new(None) };
}

struct Kernel;

impl Hooks for Kernel {
    fn report(&self, report: &Report<'_>) {}

    fn stalled(&self, stall: &Stall<'_>) -> AfterStall {
        #[cfg(not(feature = "fixed"))]
        KEPT.set(stall.graph.cycles().next());
        AfterStall::Sleep
    }
}

fn main() {}
