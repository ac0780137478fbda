//! The wait queue: the building block for whatever is not here yet. Fibers wait until a condition of yours holds.

use super::line::{Line, Served, Waiter};
use super::locked::Locked;
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::waiting;
use crate::scheduler::{WaitError, WaitReason, after, current};
use core::cell::Cell;
use core::fmt;
use core::ptr;
use core::time::Duration;

/// Fibers that wait for a condition, first come, first served.
///
/// Whoever makes the condition true does that first and then wakes. Between a fiber's look at the condition and its wait
/// no wake is lost, because it enters the queue before it looks.
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
/// let waiter = SCHEDULER.spawn(&CELLS, || QUEUE.wait_until(|| IS_READY.load(Relaxed)))?;
/// SCHEDULER.spawn(&CELLS, || {
///     IS_READY.store(true, Relaxed);
///     QUEUE.wake_one(); // an interrupt handler may do this too
/// })?.detach();
/// SCHEDULER.run();
/// assert_eq!(waiter.try_join().unwrap(), Ok(()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WaitQueue {
    line: Locked<Line>,
}

impl WaitQueue {
    /// Returns an empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            line: Locked::new(Line::new()),
        }
    }

    /// Waits until `condition` returns true. It is asked at once, and whenever the fiber was woken, with nothing locked.
    ///
    /// It may wait for other things itself.
    ///
    /// # Errors
    ///
    /// [`WaitError::Cancelled`] if the fiber is asked to end.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn wait_until(&self, condition: impl FnMut() -> bool) -> Result<(), WaitError> {
        self.wait_until_deadline(NEVER, condition)
    }

    /// As [`wait_until`](Self::wait_until), but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`wait_until`](Self::wait_until), and [`WaitError::TimedOut`].
    ///
    /// # Panics
    ///
    /// As [`wait_until`](Self::wait_until).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn wait_timeout(
        &self,
        timeout: Duration,
        condition: impl FnMut() -> bool,
    ) -> Result<(), WaitError> {
        self.wait_until_deadline(after(timeout), condition)
    }

    /// As [`wait_until`](Self::wait_until), but no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`wait_until`](Self::wait_until), and [`WaitError::TimedOut`].
    ///
    /// # Panics
    ///
    /// As [`wait_until`](Self::wait_until).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn wait_until_deadline(
        &self,
        deadline: Nanoseconds,
        mut condition: impl FnMut() -> bool,
    ) -> Result<(), WaitError> {
        let fiber = current::waiting_fiber();
        let waiter = Waiter::new(fiber);
        let place = Place {
            queue: self,
            waiter: &waiter,
            is_in_line: Cell::new(false),
        };
        let object = ptr::from_ref(self).cast();
        loop {
            place.enter();
            if condition() {
                return Ok(());
            }
            waiting::wait_until(fiber, WaitReason::WaitQueue, object, deadline, || {
                place.waiter.is_served()
            })?;
        }
    }

    /// Waits until woken, whatever for. A wake that came before is not seen: with a condition, use
    /// [`wait_until`](Self::wait_until).
    ///
    /// # Errors
    ///
    /// [`WaitError::Cancelled`] if the fiber is asked to end.
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
        let mut was_asked = false;
        self.wait_until(|| core::mem::replace(&mut was_asked, true))
    }

    /// Has the fiber that has waited longest look at its condition. Returns whether one waited.
    ///
    /// If it times out or is cancelled before it looked, the next one is woken in its place.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    pub fn wake_one(&self) -> bool {
        let mut served = Served::nobody();
        let was_waiting = self
            .line
            .with(|line| line.serve_first(&mut served).is_some());
        served.wake();
        was_waiting
    }

    /// Has all fibers look at their conditions that wait now. Returns whether any did.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing; with interrupts off it takes as long as there
    /// are fibers to take out.
    pub fn wake_all(&self) -> bool {
        let mut served = Served::nobody();
        self.line
            .with(|line| while line.serve_first(&mut served).is_some() {});
        let was_any = !served.is_empty();
        served.wake();
        was_any
    }

    /// Says whether no fiber waits.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.line.with(|line| line.is_empty())
    }
}

/// A fiber's place in a queue, which it leaves in whatever way the wait ends, also by a condition that unwinds.
struct Place<'a> {
    queue: &'a WaitQueue,
    /// Not the waiter itself: dropping the place claims all of it, while another core may be about to serve the waiter.
    waiter: &'a Waiter,
    is_in_line: Cell<bool>,
}

impl Place<'_> {
    /// Enters the line; if it is in it already it keeps its place. What wakes it from here on it has yet to look for.
    fn enter(&self) {
        // SAFETY: it is in no line: it never was, or was served, and `drop` takes it out.
        self.queue
            .line
            .with(|line| unsafe { line.push(self.waiter) });
        self.is_in_line.set(true);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.is_in_line.get() {
            return;
        }
        let was_woken = self.queue.line.with(|line| {
            let is_in_line = self.waiter.is_in_line();
            if is_in_line {
                line.remove(self.waiter);
            }
            !is_in_line
        });
        if was_woken {
            // The wake came after the last look at the condition, or in spite of a deadline: it is the next one's.
            self.waiter.await_served();
            let _was_waiting = self.queue.wake_one();
        }
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
