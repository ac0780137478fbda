//! A circle of waits is not kept for longer than the right to look at it.
//@ says: lifetime may not live long enough
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::platform::Host;
use kfiber::scheduler::Scheduler;

static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());

fn main() {
    let kept = SCHEDULER.wait_graph(|graph| {
        let circle = graph.circles().next();
        #[cfg(feature = "fixed")]
        let circle = circle.map(|circle| circle.fibers().count());
        circle
    });
}
