//! What a report lends does not outlive the call.
//@ code: E0521
//@ says: borrowed data escapes outside of method
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{Hooks, Report};
use std::cell::Cell;

std::thread_local! {
    static KEPT: Cell<Option<Report<'static>>> = const { Cell::new(None) };
}

struct Kernel;

impl Hooks for Kernel {
    fn report(&self, report: &Report<'_>) {
        #[cfg(not(feature = "fixed"))]
        KEPT.set(Some(*report));
    }
}

fn main() {}
