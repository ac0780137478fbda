//! The condition variable, which unlocks a mutex while a fiber waits for a change of the value.

use super::line::{Line, Served, Waiter};
use super::locked::Locked;
use super::mutex::MutexGuard;
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::cpu::current;
use crate::scheduler::cpu::no_unwind::NoUnwind;
use crate::scheduler::task::wait::{Giver, Kind};
use crate::scheduler::{WaitError, WaitReason, after};
use core::fmt;
use core::ptr;
use core::time::Duration;

static KIND: Kind = Kind::in_line(WaitReason::Condvar, Giver::Anybody, leave_failed);

fn leave(line: &mut Line, waiter: &Waiter) -> Served {
    line.remove(waiter);
    Served::nobody()
}

/// Removes a fiber that failed while it waited, and passes on what it was given.
///
/// # Safety
///
/// The requirements of [`Leave`](crate::scheduler::task::wait::Leave) apply.
unsafe fn leave_failed(object: *const (), waiter: *const ()) {
    // SAFETY: the caller's promise.
    let (this, waiter) = unsafe { Waiter::of_failed::<Condvar>(object, waiter) };
    if !waiter.has_left(&this.line, leave) {
        let _was_waiting = this.notify_one();
    }
}

/// A condition variable: fibers wait for a change of the value in a [`Mutex`](super::Mutex), first
/// come, first served.
///
/// ```
/// use kfiber::{platform::Host, scheduler::{FiberPool, Scheduler}, sync::{Condvar, Mutex}};
///
/// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
/// static CELLS: FiberPool<65536, 2> = FiberPool::new();
/// static COUNT: Mutex<u32> = Mutex::new(0);
/// static CHANGED: Condvar = Condvar::new();
///
/// let waiter = SCHEDULER.spawn(&CELLS, || {
///     let mut count = COUNT.lock();
///     CHANGED.wait_while(&mut count, |count| *count == 0).map(|()| *count)
/// })?;
/// SCHEDULER.spawn(&CELLS, || {
///     *COUNT.lock() = 3;
///     CHANGED.notify_one();
/// })?.detach();
/// SCHEDULER.run();
/// assert_eq!(waiter.try_join().unwrap(), Ok(3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Condvar {
    line: Locked<Line>,
}

impl Condvar {
    /// Creates a condition variable that no fiber waits for.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            line: Locked::new(Line::new()),
        }
    }

    /// Unlocks the mutex, waits for a notification, and locks the mutex again, even if the wait
    /// fails.
    ///
    /// There are no spurious wake-ups. However, another fiber may change the value between the
    /// notification and the moment at which this fiber has locked the mutex again.
    ///
    /// # Errors
    ///
    /// Returns [`WaitError::Cancelled`] if the fiber is cancelled. The mutex is locked in this case
    /// too.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) -> Result<(), WaitError> {
        self.wait_until(guard, NEVER)
    }

    /// Behaves like [`wait`](Self::wait), but waits no longer than `timeout` for the notification.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`wait`](Self::wait), and [`WaitError::TimedOut`] when the time has
    /// passed.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`wait`](Self::wait).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn wait_timeout<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
    ) -> Result<(), WaitError> {
        self.wait_until(guard, after(timeout))
    }

    /// Behaves like [`wait`](Self::wait), but waits no longer than until `deadline` for the
    /// notification.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`wait`](Self::wait), and [`WaitError::TimedOut`] when the time has
    /// passed.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`wait`](Self::wait).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn wait_until<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Nanoseconds,
    ) -> Result<(), WaitError> {
        let waiter = Waiter::new(current::waiting_fiber());
        guard.check_owner("given to a condition variable");
        // Until `lock_again`, the mutex of the guard is not locked, and the waiter may be in the
        // line, so nothing may unwind past them.
        let no_unwind = NoUnwind::begin(
            "a panic while a fiber waits for a condition variable (a hook's, the clock's, or that the mutex is poisoned): its guard \
             would be one of a mutex that the fiber has not locked, so the process ends",
        );
        self.line.with(|line| {
            // SAFETY: it is new, and waits next, which keeps it in place.
            unsafe { line.push(&raw const waiter) };
        });
        // From here on a notification finds it, so the value may change.
        // SAFETY: nothing unwinds, and the next thing is that it locks again.
        unsafe { guard.unlock() };
        let waited = waiter.wait(
            &self.line,
            &KIND,
            ptr::from_ref(self).cast(),
            deadline,
            leave,
        );
        guard.lock_again();
        no_unwind.done();
        waited
    }

    /// Waits while `condition` returns true for the value.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`wait`](Self::wait).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn wait_while<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> Result<(), WaitError> {
        self.wait_while_until(guard, NEVER, condition)
    }

    /// Behaves like [`wait_while`](Self::wait_while), but waits no longer than `timeout` for
    /// notifications.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`wait_timeout`](Self::wait_timeout) if the condition still holds
    /// then.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`wait`](Self::wait).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn wait_while_timeout<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> Result<(), WaitError> {
        self.wait_while_until(guard, after(timeout), condition)
    }

    /// Behaves like [`wait_while`](Self::wait_while), but waits no longer than until `deadline` for
    /// notifications.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`wait_until`](Self::wait_until) if the condition still holds then.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`wait`](Self::wait).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn wait_while_until<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Nanoseconds,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Result<(), WaitError> {
        let mut waited = Ok(());
        while condition(guard) {
            // Only now: the value may have changed while the fiber waited for the mutex, so that
            // the error no longer matters.
            waited?;
            waited = self.wait_until(guard, deadline);
        }
        Ok(())
    }

    /// Wakes the fiber that has waited longest. Returns whether a fiber waited.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    pub fn notify_one(&self) -> bool {
        let mut served = Served::nobody();
        let was_waiting = self
            .line
            .with(|line| line.serve_first(&mut served).is_some());
        served.wake();
        was_waiting
    }

    /// Wakes all fibers that wait at this moment. Returns their number.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing; interrupts are off
    /// for a time that is proportional to the number of waiting fibers.
    pub fn notify_all(&self) -> usize {
        let mut served = Served::nobody();
        let count = self.line.with(|line| line.serve_all(&mut served));
        served.wake();
        count
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
