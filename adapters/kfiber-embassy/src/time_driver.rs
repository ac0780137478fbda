//! The time driver: the clock of a scheduler's platform, a queue of wakers, and a fiber that wakes
//! them.

use crate::ticks;
use core::convert::Infallible;
use core::fmt;
use core::task::Waker;
use embassy_time_driver::Driver;
use embassy_time_queue_utils::queue_generic::ConstGenericQueue;
use kfiber::platform::Platform;
use kfiber::scheduler::WaitError;
use kfiber::sync::{IrqMutex, Semaphore};

/// A time driver for `embassy-time`, on the clock and the timer of a scheduler.
///
/// `TIMERS` is the number of wakers that can wait at the same time. If there are more, some are
/// woken early and register again, which costs time and is right otherwise.
///
/// A fiber must [`run`](Self::run) the driver; otherwise no timer ends. The wakers may be of any
/// executor: tasks of an [`Executor`](crate::Executor), and futures in
/// [`block_on`](kfiber::scheduler::block_on).
///
/// Declare the driver with [`embassy_time_driver::time_driver_impl!`], once in a kernel.
pub struct TimeDriver<P: 'static, const TIMERS: usize> {
    platform: &'static P,
    queue: IrqMutex<ConstGenericQueue<TIMERS>>,
    /// Has a permit if the queue has changed since the fiber looked.
    changed: Semaphore,
}

impl<P: Platform, const TIMERS: usize> TimeDriver<P, TIMERS> {
    /// Returns a driver with the clock of this platform, which is that of the scheduler:
    /// `TimeDriver::new(SCHEDULER.platform())`.
    #[must_use]
    pub const fn new(platform: &'static P) -> Self {
        Self {
            platform,
            queue: IrqMutex::new(ConstGenericQueue::new()),
            changed: Semaphore::with_limit(0, 1),
        }
    }

    /// Wakes those whose time has come, and waits until the next deadline, in an endless loop. It
    /// is the body of a fiber of the platform's scheduler, which should have the highest priority of
    /// all that use timers.
    ///
    /// # Errors
    ///
    /// Returns [`WaitError::Cancelled`] if the fiber is cancelled. No timer ends any more until a
    /// fiber calls the function again.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn run(&self) -> Result<Infallible, WaitError> {
        loop {
            let now = self.now();
            let next = self.queue.lock().next_expiration(now);
            match self.changed.acquire_until(ticks::deadline_of(next)) {
                Ok(()) | Err(WaitError::TimedOut) => {}
                Err(WaitError::Cancelled) => return Err(WaitError::Cancelled),
            }
        }
    }
}

impl<P: Platform, const TIMERS: usize> Driver for TimeDriver<P, TIMERS> {
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core, if the platform's clock is. Blocks:
    /// nothing.
    fn now(&self) -> u64 {
        ticks::passed_at(self.platform.now())
    }

    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing; interrupts are off
    /// for a time that is proportional to the number of timers.
    fn schedule_wake(&self, at: u64, waker: &Waker) {
        let has_changed = self.queue.lock().schedule_wake(at, waker);
        if has_changed {
            // If there is a permit already, the fiber looks anyway.
            let _released = self.changed.release(1);
        }
    }
}

impl<P, const TIMERS: usize> fmt::Debug for TimeDriver<P, TIMERS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeDriver").finish_non_exhaustive()
    }
}
