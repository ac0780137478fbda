//! A look at the waits is not kept for longer than its closure.
//@ code: E0521
//@ says: borrowed data escapes outside of closure
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::platform::Host;
use kfiber::scheduler::{Scheduler, WaitGraph};

static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());

fn main() {
    let mut kept: Option<&WaitGraph<'_>> = None;
    SCHEDULER.wait_graph(|graph| {
        #[cfg(not(feature = "fixed"))]
        {
            kept = Some(graph);
        }
    });
}
