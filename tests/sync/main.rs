//! What fibers wait for, on the host: order, deadlines, cancellation, misuse, and that nothing is lost.
#![expect(clippy::unwrap_used, reason = "a test says what failed by its line")]

mod barrier;
mod channel;
mod conditions;
mod condvar;
mod event;
mod forgotten;
mod irq_mutex;
mod late;
mod lent_levels;
mod lone_receiver;
mod mapped;
mod messages;
mod mutex;
mod once;
mod owners;
mod priorities;
mod rw_lock;
mod semaphore;
mod threads;
mod wait_queue;
mod who_lends;

use core::panic::AssertUnwindSafe;
use kfiber::scheduler;
use std::panic::catch_unwind;
use std::sync::Mutex;

/// A scheduler and cells of a test's own.
macro_rules! world {
    ($scheduler:ident, $cells:ident) => {
        static $scheduler: kfiber::scheduler::Scheduler<kfiber::platform::Host> =
            kfiber::scheduler::Scheduler::new(kfiber::platform::Host::new());
        static $cells: kfiber::scheduler::FiberPool<65536, 8> = kfiber::scheduler::FiberPool::new();
    };
    ($scheduler:ident, $cells:ident, $log:ident) => {
        $crate::world!($scheduler, $cells);
        static $log: $crate::Log = $crate::Log::new();
    };
}
pub(crate) use world;

/// Words in the order in which they were said.
struct Log(Mutex<Vec<String>>);

impl Log {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn say(&self, word: impl ToString) {
        self.0.lock().unwrap().push(word.to_string());
    }

    /// As [`all`](Self::all), and forgets them.
    fn take(&self) -> String {
        let words = core::mem::take(&mut *self.0.lock().unwrap());
        words.join(" ")
    }

    fn all(&self) -> String {
        self.0.lock().unwrap().join(" ")
    }
}

/// The message of the panic in `f`.
fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else {
        return "no panic".to_owned();
    };
    payload.downcast_ref::<String>().map_or_else(
        || (*payload.downcast_ref::<&str>().unwrap()).to_owned(),
        Clone::clone,
    )
}

/// Lets everybody run who is ready, several times.
fn settle() {
    for _ in 0..10 {
        scheduler::yield_now();
    }
}
