//! The wait queue: the building block for whatever is not here yet. Fibers wait until a condition of yours holds.
//!
//! The caller's code never runs while its fiber is in the line. The queue counts its wakes: a fiber reads the count, asks its
//! condition, and enters the line only if the count is still the same. Otherwise it asks again.

use super::line::{Line, Served, Waiter};
use super::locked::Locked;
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::cpu::current;
use crate::scheduler::run_loop::{RunLoop, waiting};
use crate::scheduler::task::wait::{Giver, Kind};
use crate::scheduler::{WaitError, WaitReason, after};
use core::fmt;
use core::ptr;
use core::time::Duration;

static KIND: Kind = Kind::in_line(WaitReason::WaitQueue, Giver::Anybody, leave_failed);

/// # Safety
///
/// As [`Leave`](crate::scheduler::task::wait::Leave) says.
unsafe fn leave_failed(object: *const (), waiter: *const ()) {
    // SAFETY: the caller's promise.
    let (this, waiter) = unsafe { Waiter::of_failed::<WaitQueue>(object, waiter) };
    if !waiter.has_left(&this.queue, Queue::leave) {
        let _was_waiting = this.wake_one();
    }
}

/// Fibers that wait for a condition, first come, first served.
///
/// Whoever makes the condition true does that first and then wakes. Between a fiber's look at the condition and its wait
/// no wake is lost: if one came since the fiber began to look, it looks again before it waits.
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
    queue: Locked<Queue>,
}

struct Queue {
    line: Line,
    /// How often somebody woke. Who has read it and asked its condition waits only if it has not changed.
    wakes: u64,
    /// How many places in the line were given out.
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

    /// Waits until `condition` returns true. It is asked at once and whenever the fiber was woken, with nothing locked and
    /// the fiber in no queue: it may wait for other things itself, suspend a [`Fiber`](crate::fiber::Fiber), unwind, or fail.
    ///
    /// It is also asked again after a wake for another fiber that came while it was asked, and after the failure of a fiber of
    /// the same scheduler; the fiber keeps its place then. So the wake of a fiber that unwinds or
    /// [fails](crate::scheduler::failures) before it has asked its condition to the end goes to the next. Two are not told: a
    /// fiber of another scheduler, of a failure, and anybody, of a wake of which a suspended `Fiber` was dropped.
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
        let mut place = None;
        let mut was_woken = false;
        loop {
            // SAFETY: it runs.
            let failures = unsafe { RunLoop::of(current::waiting_fiber()) }
                .failures
                .get();
            let wakes = self.queue.with(|queue| queue.wakes);
            if self.ask(&mut condition, was_woken) {
                return Ok(());
            }
            was_woken = false;
            // The condition may have forbidden to wait, and not allowed it again.
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

    /// Asks the condition. If it unwinds, and the fiber `was_woken` for it, the next fiber is woken instead.
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
        let holds = condition();
        wake_next.is_due = false;
        holds
    }

    /// Waits in line until woken, which it returns, or until there were more failures than `failures`.
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
        let is_done = || waiter.is_served() || run_loop.failures.get() != failures;
        let in_line = ptr::from_ref(waiter).cast();
        let fiber = waiter.fiber;
        let waited = waiting::wait_in_line_until(in_line, fiber, &KIND, object, deadline, is_done);
        let was_woken = waiter.is_served() || !waiter.has_left(&self.queue, Queue::leave);
        if was_woken && waited.is_err() {
            // The wake came in spite of the deadline: it is the next one's.
            let _was_waiting = self.wake_one();
        }
        waited.map(|()| was_woken)
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

    /// Has the fiber that has waited longest look at its condition. Returns whether one waited; one that is just looking is
    /// not counted, but looks again.
    ///
    /// If it times out, is cancelled, unwinds or fails before it has looked, the next one is woken in its place.
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

    /// Has all fibers look at their conditions that wait now. Returns whether any did; those that are just looking are not
    /// counted, but look again.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing; with interrupts off it takes as long as there
    /// are fibers to take out.
    pub fn wake_all(&self) -> bool {
        let mut served = Served::nobody();
        self.queue.with(|queue| {
            queue.wakes += 1;
            while queue.line.serve_first(&mut served).is_some() {}
        });
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
        self.queue.with(|queue| queue.line.is_empty())
    }
}

impl Queue {
    /// Puts a waiter into the line, at its place if it had one before.
    ///
    /// # Safety
    ///
    /// As [`Line::push`].
    unsafe fn enter(&mut self, waiter: &Waiter, place: &mut Option<usize>) {
        let place = *place.get_or_insert_with(|| {
            self.places += 1;
            self.places
        });
        waiter.note.set(ptr::without_provenance_mut(place));
        let is_behind = |other: &Waiter| other.note.get().addr() < place;
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
