//! A cycle of waits is not the result of a look.
//@ says: lifetime may not live long enough
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::platform::Host;
use kfiber::scheduler::Scheduler;

static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());

fn main() {
    #[cfg(not(feature = "fixed"))]
    let cycle = SCHEDULER.wait_graph(|graph| graph.cycles().next());
}
