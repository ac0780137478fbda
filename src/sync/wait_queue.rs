//! The wait queue, from which further primitives can be built: fibers wait while a condition of
//! the caller holds.
//!
//! The caller's condition never runs while its fiber is in the line of waiters. The queue counts
//! its wake-ups. A fiber reads the count, evaluates its condition, and enters the line only if the
//! count is unchanged. Otherwise it evaluates the condition again.

use super::line::{Line, Served, Waiter};
use super::locked::Locked;
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::cpu::current;
use crate::scheduler::run_loop::RunLoop;
use crate::scheduler::task::wait::{Giver, Kind};
use crate::scheduler::{WaitError, WaitReason, after};
use core::fmt;
use core::ptr;
use core::time::Duration;

static KIND: Kind = Kind::in_line(WaitReason::WaitQueue, Giver::Anybody, leave_failed);

/// Removes a fiber that failed while it waited, and passes on what it was given.
///
/// # Safety
///
/// The requirements of [`Leave`](crate::scheduler::task::wait::Leave) apply.
unsafe fn leave_failed(object: *const (), waiter: *const ()) {
    // SAFETY: the caller's promise.
    let (this, waiter) = unsafe { Waiter::of_failed::<WaitQueue>(object, waiter) };
    if !waiter.has_left(&this.queue, Queue::leave) {
        let _was_waiting = this.wake_one();
    }
}

/// A queue of fibers that wait for a condition, first come, first served.
///
/// The code that ends the condition first changes what the condition looks at, and then wakes. No
/// wake-up is lost between the check of the condition and the wait: if one arrives after the fiber
/// began the check, the fiber checks again before it waits.
///
/// ```
/// use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
/// use kfiber::{platform::Host, scheduler::{FiberPool, Scheduler}, sync::WaitQueue};
///
/// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
/// static CELLS: FiberPool<65536, 2> = FiberPool::new();
/// static IS_READY: AtomicBool = AtomicBool::new(false);
/// static QUEUE: WaitQueue = WaitQueue::new();
///
/// let waiter = SCHEDULER.spawn(&CELLS, || QUEUE.wait_while(|| !IS_READY.load(Relaxed)))?;
/// SCHEDULER.spawn(&CELLS, || {
///     IS_READY.store(true, Relaxed);
///     QUEUE.wake_one(); // an interrupt handler may do this too
/// })?.detach();
/// SCHEDULER.run();
/// assert_eq!(waiter.try_join().unwrap(), Ok(()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WaitQueue {
    queue: Locked<Queue>,
}

struct Queue {
    line: Line,
    /// The number of wake-ups so far. A fiber that has read it and then evaluated its condition
    /// enters the line only if the number has not changed.
    wakes: u64,
    /// The number of places in the line that were assigned so far.
    places: usize,
}

impl WaitQueue {
    /// Returns an empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            queue: Locked::new(Queue {
                line: Line::new(),
                wakes: 0,
                places: 0,
            }),
        }
    }

    /// Waits while `condition` returns true.
    ///
    /// The condition is evaluated at once, and again each time the fiber was woken. During the
    /// evaluation nothing is locked and the fiber is in no queue. The condition may therefore wait
    /// for other things, suspend a [`Fiber`](crate::fiber::Fiber), unwind, or fail.
    ///
    /// The condition is also evaluated again if a wake-up for another fiber arrives during an
    /// evaluation, and after a fiber of the same scheduler has failed. The fiber keeps its place in
    /// the queue in these cases. If a fiber unwinds or [fails](crate::scheduler::failures) before
    /// its condition has returned, its wake-up passes to the next fiber. There are two exceptions:
    /// fibers of other schedulers do not notice the failure, and a wake-up whose evaluation ends
    /// because a suspended `Fiber` is dropped is lost.
    ///
    /// # Errors
    ///
    /// Returns [`WaitError::Cancelled`] if the fiber is cancelled.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn wait_while(&self, condition: impl FnMut() -> bool) -> Result<(), WaitError> {
        self.wait_while_until(NEVER, condition)
    }

    /// Behaves like [`wait_while`](Self::wait_while), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`wait_while`](Self::wait_while), and [`WaitError::TimedOut`] when the
    /// time has passed.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`wait_while`](Self::wait_while).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn wait_while_timeout(
        &self,
        timeout: Duration,
        condition: impl FnMut() -> bool,
    ) -> Result<(), WaitError> {
        self.wait_while_until(after(timeout), condition)
    }

    /// Behaves like [`wait_while`](Self::wait_while), but waits no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`wait_while`](Self::wait_while), and [`WaitError::TimedOut`] when the
    /// time has passed.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`wait_while`](Self::wait_while).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn wait_while_until(
        &self,
        deadline: Nanoseconds,
        mut condition: impl FnMut() -> bool,
    ) -> Result<(), WaitError> {
        let mut place = None;
        let mut was_woken = false;
        loop {
            // SAFETY: it runs.
            let failures = unsafe { RunLoop::of(current::waiting_fiber()) }.failures();
            let wakes = self.queue.with(|queue| queue.wakes);
            if !self.ask(&mut condition, was_woken) {
                return Ok(());
            }
            was_woken = false;
            // The condition may have forbidden waiting without allowing it again.
            let waiter = Waiter::new(current::waiting_fiber());
            let is_in_line = self.queue.with(|queue| {
                let is_unchanged = queue.wakes == wakes;
                if is_unchanged {
                    // SAFETY: it is new, and waits next, which keeps it in place.
                    unsafe { queue.enter(&waiter, &mut place) };
                }
                is_unchanged
            });
            if is_in_line {
                was_woken = self.wait_in_line(&waiter, deadline, failures)?;
            }
            if was_woken {
                place = None;
            }
        }
    }

    /// Returns whether the fiber has to wait. If the condition unwinds, and the fiber `was_woken` for it, the next fiber is
    /// woken instead.
    fn ask(&self, condition: &mut impl FnMut() -> bool, was_woken: bool) -> bool {
        struct WakeNext<'a> {
            queue: &'a WaitQueue,
            is_due: bool,
        }
        impl Drop for WakeNext<'_> {
            fn drop(&mut self) {
                if self.is_due {
                    let _was_waiting = self.queue.wake_one();
                }
            }
        }

        let mut wake_next = WakeNext {
            queue: self,
            is_due: was_woken,
        };
        let must_wait = condition();
        wake_next.is_due = false;
        must_wait
    }

    /// Waits in the line until the fiber is woken, or until the count of failures differs from
    /// `failures`. Returns whether it was woken.
    #[track_caller]
    fn wait_in_line(
        &self,
        waiter: &Waiter,
        deadline: Nanoseconds,
        failures: u32,
    ) -> Result<bool, WaitError> {
        // SAFETY: it runs.
        let run_loop = unsafe { RunLoop::of(waiter.fiber) };
        let object = ptr::from_ref(self).cast();
        let is_done = || waiter.is_served() || run_loop.failures() != failures;
        // SAFETY: `leave_failed` expects the queue and this waiter.
        let waited = unsafe { waiter.wait_until(waiter.fiber, &KIND, object, deadline, is_done) };
        let was_woken = waiter.is_served() || !waiter.has_left(&self.queue, Queue::leave);
        if was_woken && waited.is_err() {
            // The wake-up arrived although the wait has ended with an error, so it belongs to the
            // next fiber.
            let _was_waiting = self.wake_one();
        }
        waited.map(|()| was_woken)
    }

    /// Waits until the next wake-up, without a condition.
    ///
    /// An earlier wake-up is not seen. To wait for a condition, use
    /// [`wait_while`](Self::wait_while).
    ///
    /// # Errors
    ///
    /// Returns [`WaitError::Cancelled`] if the fiber is cancelled.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn wait(&self) -> Result<(), WaitError> {
        let waiter = Waiter::new(current::waiting_fiber());
        // SAFETY: it is new, and waits next, which keeps it in place.
        self.queue
            .with_interrupts_on(|queue| unsafe { queue.enter(&waiter, &mut None) });
        waiter.wait(
            &self.queue,
            &KIND,
            ptr::from_ref(self).cast(),
            NEVER,
            Queue::leave,
        )
    }

    /// Wakes the fiber that has waited longest, so that it evaluates its condition. Returns whether
    /// a fiber waited.
    ///
    /// A fiber that is evaluating its condition at this moment does not count as waiting, but
    /// evaluates the condition again.
    ///
    /// If the woken fiber times out, is cancelled, unwinds or fails before it has evaluated its
    /// condition, the next fiber is woken in its place.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    pub fn wake_one(&self) -> bool {
        let mut served = Served::nobody();
        let was_waiting = self.queue.with(|queue| {
            queue.wakes += 1;
            queue.line.serve_first(&mut served).is_some()
        });
        served.wake();
        was_waiting
    }

    /// Wakes all fibers that wait at this moment, so that they evaluate their conditions. Returns
    /// the number of these fibers.
    ///
    /// Fibers that are evaluating their conditions at this moment do not count as waiting, but
    /// evaluate them again.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing; interrupts are off
    /// for a time that is proportional to the number of waiting fibers.
    pub fn wake_all(&self) -> usize {
        let mut served = Served::nobody();
        let count = self.queue.with(|queue| {
            queue.wakes += 1;
            queue.line.serve_all(&mut served)
        });
        served.wake();
        count
    }

    /// Returns whether no fiber waits.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.with(|queue| queue.line.is_empty())
    }
}

impl Queue {
    /// Puts a waiter into the line, at the place that it had before, if it had one.
    ///
    /// # Safety
    ///
    /// The requirements of [`Line::push`] apply.
    unsafe fn enter(&mut self, waiter: &Waiter, place: &mut Option<usize>) {
        let place = *place.get_or_insert_with(|| {
            self.places += 1;
            self.places
        });
        waiter.set_note(ptr::without_provenance_mut(place));
        let is_behind = |other: &Waiter| other.note().addr() < place;
        // SAFETY: the caller's promise.
        unsafe { self.line.insert_behind(waiter, is_behind) };
    }

    fn leave(&mut self, waiter: &Waiter) -> Served {
        self.line.remove(waiter);
        Served::nobody()
    }
}

impl Default for WaitQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WaitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitQueue").finish_non_exhaustive()
    }
}
