//! Threads that play the cores of a scheduler.

use kfiber::platform::{Core, Host};
use kfiber::scheduler::{FiberCell, FiberPool, Scheduler};
use std::thread;

/// A cell of the usual size.
pub(crate) type Cell = FiberCell<262144>;
/// Such cells.
pub(crate) type Cells<const COUNT: usize> = FiberPool<262144, COUNT>;

/// Returns a scheduler that no other test uses.
pub(crate) fn scheduler<const CORES: usize>() -> &'static Scheduler<Host, CORES> {
    Box::leak(Box::new(Scheduler::new(Host::new())))
}

/// Runs a scheduler on all its cores until no fiber is left.
pub(crate) fn run<const CORES: usize>(scheduler: &'static Scheduler<Host, CORES>) {
    on_each_core(scheduler, || scheduler.run());
}

/// Calls `f` on a thread for each core.
pub(crate) fn on_each_core<const CORES: usize>(
    scheduler: &'static Scheduler<Host, CORES>,
    f: impl Fn() + Sync,
) {
    let f = &f;
    thread::scope(|threads| {
        for core in 0..CORES {
            threads.spawn(move || scheduler.platform().as_core(Core(core), f));
        }
    });
}

/// Returns the core on which the caller runs.
pub(crate) fn here<const CORES: usize>(scheduler: &'static Scheduler<Host, CORES>) -> Core {
    use kfiber::platform::Platform as _;
    scheduler.platform().core()
}
