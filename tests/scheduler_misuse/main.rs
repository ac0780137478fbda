//! What the scheduler answers to misuse and bad input: each documented answer, one test.
#![expect(clippy::unwrap_used, reason = "a test says what failed by its line")]

mod bounds;
mod cells;
mod futures;
mod joins;
mod lists;
mod places;
mod scopes;
mod wakes;

use core::panic::AssertUnwindSafe;
use kfiber::platform::Host;
use kfiber::scheduler::{FiberPool, Scheduler};
use std::panic::{catch_unwind, resume_unwind};

/// Room for a panic under 256 nested calls, and for its backtrace.
type Cells = FiberPool<131072, 4>;

/// A scheduler and a few cells of its own for each test.
fn fresh() -> (&'static Scheduler<Host>, &'static Cells) {
    let scheduler = Box::new(Scheduler::new(Host::new()));
    (Box::leak(scheduler), Box::leak(Box::new(Cells::new())))
}

/// Runs a closure as a fiber of a fresh scheduler, and returns what it returns.
fn in_fiber<T: Send + 'static>(
    closure: impl FnOnce(&'static Scheduler<Host>, &'static Cells) -> T + Send + 'static,
) -> T {
    let (scheduler, cells) = fresh();
    // A fiber's panic ends the process; caught, it is the panic of one test.
    let body = move || catch_unwind(AssertUnwindSafe(|| closure(scheduler, cells)));
    let fiber = scheduler.spawn(cells, body).unwrap();
    scheduler.run();
    let result = fiber.try_join().unwrap();
    result.unwrap_or_else(|payload| resume_unwind(payload))
}

/// The message of the panic that `f` ends with.
fn message_of<R>(f: impl FnOnce() -> R) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).map(|_| ()).unwrap_err();
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string))
        .expect("a message")
}
