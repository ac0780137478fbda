//! Two threads that play the two cores of a scheduler, and a fiber on the first that is told what to do.
//!
//! The threads stay in `run` for good, and sleep while nothing is to be done.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use kfiber_with_smp::platform::{Core, Host};
use kfiber_with_smp::scheduler::{self, FiberCell, Scheduler, Unparker};

use crate::affinity;

/// A scheduler for both cores.
pub(crate) type TwoCores = Scheduler<Host, 2>;
/// What the fiber is to do.
type Task = Box<dyn FnOnce() + Send>;

/// Bytes of the stack of each fiber here: deep enough for a panic.
pub(crate) const STACK_BYTES: usize = 32 * 1024;

/// The threads and the fiber.
pub(crate) struct Crew {
    scheduler: &'static TwoCores,
    tasks: Sender<Task>,
    driver: Unparker,
}

impl Crew {
    /// Starts them, each thread on one of these cores of the machine.
    pub(crate) fn start(platform: Host, cores: [usize; 2]) -> &'static Self {
        let scheduler: &'static TwoCores = Box::leak(Box::new(Scheduler::new(platform)));
        let cell: &'static FiberCell<STACK_BYTES> = Box::leak(Box::default());
        let (tasks, received) = channel();
        let driver = scheduler
            .builder()
            .on(Core(0))
            .spawn(cell, move || drive(&received))
            .expect("a new cell");
        let driver_handle = driver.unparker();
        driver.detach();
        for (number, core) in cores.into_iter().enumerate() {
            thread::spawn(move || {
                affinity::stay_on(core);
                let run = || scheduler.run();
                scheduler.platform().as_core(Core(number), run);
            });
        }
        Box::leak(Box::new(Self {
            scheduler,
            tasks,
            driver: driver_handle,
        }))
    }

    /// Their scheduler.
    pub(crate) const fn scheduler(&self) -> &'static TwoCores {
        self.scheduler
    }

    /// Calls `f` in the fiber on the first core, and waits for its result.
    pub(crate) fn call<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
        let (answer, answered) = channel();
        let task = move || answer.send(f()).expect("the caller waits");
        self.tasks.send(Box::new(task)).expect("the fiber lives");
        assert!(self.driver.unpark(), "the fiber lives");
        answered.recv().expect("the fiber does not fail")
    }
}

fn drive(tasks: &Receiver<Task>) {
    loop {
        while let Ok(task) = tasks.try_recv() {
            task();
        }
        scheduler::park().expect("nobody cancels it");
    }
}
