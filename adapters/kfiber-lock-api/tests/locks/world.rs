//! A scheduler of a test's own, whose fibers may fail.

use kfiber::platform::Host;
use kfiber::scheduler::{self, FiberPool, Hooks, JoinErrorKind, JoinHandle, Report, Scheduler};
use std::sync::{Arc, Mutex as HostMutex};

/// A scheduler and its cells, which lets fibers fail.
pub(crate) struct World {
    pub(crate) scheduler: &'static Scheduler<Host>,
    cells: &'static FiberPool<65536, 8>,
    pub(crate) reports: &'static Reports,
    log: Arc<HostMutex<Vec<String>>>,
}

/// Remembers what is reported.
#[derive(Default)]
pub(crate) struct Reports(pub(crate) HostMutex<Vec<String>>);

impl Hooks for Reports {
    fn report(&self, report: &Report<'_>) {
        self.0.lock().unwrap().push(report.to_string());
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let scheduler: &'static _ = Box::leak(Box::new(Scheduler::new(Host::new())));
        let reports: &'static _ = Box::leak(Box::new(Reports::default()));
        scheduler.set_hooks(reports).unwrap();
        Self {
            reports,
            scheduler,
            cells: Box::leak(Box::new(FiberPool::new())),
            log: Arc::default(),
        }
    }

    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        name: &'static str,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let builder = self.scheduler.builder().name(name);
        builder.spawn(self.cells, f).unwrap()
    }

    /// Runs a fiber alone.
    pub(crate) fn alone<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
        let fiber = self.spawn("alone", f);
        self.scheduler.run();
        fiber.try_join().unwrap()
    }

    pub(crate) fn say(&self) -> impl Fn(&str) + Send + 'static {
        let log = Arc::clone(&self.log);
        move |word| log.lock().unwrap().push(word.to_owned())
    }

    pub(crate) fn said(&self) -> String {
        self.log.lock().unwrap().join(" ")
    }
}

#[track_caller]
pub(crate) fn failure_of<T>(handle: JoinHandle<T>) -> String {
    match handle.try_join().map(|_| ()).map_err(|error| error.kind) {
        Err(JoinErrorKind::Failed(failure)) => failure.to_string(),
        other => panic!("it was to fail: {other:?}"),
    }
}

pub(crate) fn settle() {
    (0..10).for_each(|_| scheduler::yield_now());
}
