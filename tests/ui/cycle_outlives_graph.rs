//! A cycle of waits is part of the graph, which is lent.
//@ code: E0521
//@ says: borrowed data escapes outside of closure
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::platform::Host;
use kfiber::scheduler::{Scheduler, WaitCycle};

static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());

fn main() {
    let mut kept: Option<WaitCycle<'_>> = None;
    #[cfg(not(feature = "fixed"))]
    SCHEDULER.wait_graph(|graph| kept = graph.cycles().next());
}
