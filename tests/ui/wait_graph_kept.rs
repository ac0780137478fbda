//! The graph of waits is lent: it does not outlive the right to look at the scheduler.
//@ code: E0521
//@ says: borrowed data escapes outside of closure
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::platform::Host;
use kfiber::scheduler::{Scheduler, WaitGraph};

static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());

fn main() {
    let mut kept: Option<&WaitGraph<'_>> = None;
    #[cfg(not(feature = "fixed"))]
    SCHEDULER.wait_graph(|graph| kept = Some(graph));
}
