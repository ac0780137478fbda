//! The executor: tasks of embassy that one fiber polls.

use core::cell::OnceCell;
use core::convert::Infallible;
use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};
use embassy_executor::{Spawner, raw};
use kfiber::scheduler::{self, WaitError};
use kfiber::sync::Semaphore;

/// An executor of embassy whose tasks are polled by one fiber, which waits while none is ready.
///
/// A kernel may have several, in fibers of different priorities: a task with work to do is then
/// interrupted by tasks of a higher priority wherever its fiber yields or waits.
///
/// A task that blocks, for instance by [`kfiber::sync::Mutex::lock`], blocks its fiber, and with it
/// the other tasks of the executor. Tasks and fibers best talk through `embassy-sync`, or through
/// the functions of [`kfiber::sync`] that block nothing.
///
/// The executor defines the symbol `__pender`. Enable no feature `platform-…` of
/// `embassy-executor`, which would define it as well.
pub struct Executor {
    /// Has a permit if tasks became ready since the fiber looked. Embassy calls this a pender.
    pended: Semaphore,
    is_taken: AtomicBool,
    /// - **E1**: only the one call of [`run`](Self::run) that has set `is_taken` accesses it, and so
    ///   one fiber.
    raw: OnceCell<raw::Executor>,
}

// SAFETY: E1, and the rest is `Sync` by itself. Wakers reach the raw executor from everywhere by
// embassy's own means, which are made for that.
unsafe impl Sync for Executor {}

impl Executor {
    /// Returns an executor without tasks. It belongs into a static.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            pended: Semaphore::with_limit(0, 1),
            is_taken: AtomicBool::new(false),
            raw: OnceCell::new(),
        }
    }

    /// Calls `init`, which spawns the first tasks, and then polls tasks in an endless loop. It is
    /// the body of a fiber.
    ///
    /// If tasks wake themselves while they are polled, the other ready fibers of the same priority
    /// run once before the tasks are polled again.
    ///
    /// # Errors
    ///
    /// Returns [`WaitError::Cancelled`] if the fiber is cancelled. The tasks then stay as they are
    /// and are never polled again.
    ///
    /// # Panics
    ///
    /// Panics if the executor was run before, and where waiting is not allowed. A panic of a task
    /// is a panic of the fiber.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn run(&'static self, init: impl FnOnce(Spawner)) -> Result<Infallible, WaitError> {
        assert!(
            !self.is_taken.swap(true, Ordering::Relaxed),
            "an `Executor` was run twice: its tasks belong to the fiber that ran it first; declare another one"
        );
        let context = ptr::from_ref(&self.pended).cast_mut().cast();
        let raw = self.raw.get_or_init(|| raw::Executor::new(context));
        init(raw.spawner());
        loop {
            // SAFETY: this is the only place that polls, it runs once (E1), and a task has no way to
            // get here again.
            unsafe { raw.poll() };
            if self.pended.try_acquire() {
                scheduler::yield_now();
                scheduler::check_cancelled()?;
            } else {
                self.pended.acquire()?;
            }
        }
    }
}

impl Default for Executor {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").finish_non_exhaustive()
    }
}

/// Embassy calls this when a task of an executor becomes ready, from anywhere.
/// It declares a function of this name and type, so the symbol is this one's to define.
#[unsafe(export_name = "__pender")]
fn pender(context: *mut ()) {
    // SAFETY: `run` gave this address of a part of a static to the raw executor.
    let pended = unsafe { &*context.cast_const().cast::<Semaphore>() };
    // If there is a permit already, the fiber polls anyway.
    let _released = pended.release(1);
}
