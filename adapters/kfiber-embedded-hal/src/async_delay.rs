//! The delay of an async driver: its future is woken by a fiber that sleeps.

use core::convert::Infallible;
use core::fmt;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use embedded_hal_async::delay::DelayNs;
use kfiber::platform::{NEVER, Nanoseconds};
use kfiber::scheduler::{WaitError, after, now};
use kfiber::sync::{IrqMutex, Semaphore};

/// A timer for the delays of async drivers. `&DelayTimer` implements the async [`DelayNs`].
///
/// A fiber must [`run`](Self::run) the timer; otherwise no delay ends. The futures may be polled by
/// any executor in fibers of the same scheduler, for instance by
/// [`block_on`](kfiber::scheduler::block_on).
///
/// `DELAYS` is the number of delays that can wait at the same time. If there are more, the others
/// wake themselves and are polled again and again, which costs time and is right otherwise.
///
/// A delay takes at least the time asked for, by the clock of the scheduler. Dropping the future
/// ends it.
pub struct DelayTimer<const DELAYS: usize> {
    places: IrqMutex<[Place; DELAYS]>,
    /// Has a permit if a deadline was added since the fiber looked.
    changed: Semaphore,
}

/// The place of one future.
struct Place {
    is_taken: bool,
    deadline: Nanoseconds,
    /// Whom to wake at the deadline. `None` if nobody is to be woken any more.
    waker: Option<Waker>,
}

impl Place {
    const FREE: Self = Self {
        is_taken: false,
        deadline: NEVER,
        waker: None,
    };
}

impl<const DELAYS: usize> DelayTimer<DELAYS> {
    /// Returns a timer without delays. It belongs into a static.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            places: IrqMutex::new([const { Place::FREE }; DELAYS]),
            changed: Semaphore::with_limit(0, 1),
        }
    }

    /// Wakes the futures whose delay is over, and waits until the next deadline, in an endless
    /// loop. It is the body of a fiber, which should have the highest priority of all that delay.
    ///
    /// # Errors
    ///
    /// Returns [`WaitError::Cancelled`] if the fiber is cancelled. No delay ends any more until a
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
            match self.next(now()) {
                Next::Due(waker) => waker.wake(),
                Next::At(deadline) => match self.changed.acquire_until(deadline) {
                    Ok(()) | Err(WaitError::TimedOut) => {}
                    Err(WaitError::Cancelled) => return Err(WaitError::Cancelled),
                },
            }
        }
    }

    /// Takes a waker whose deadline has passed, or else returns the next deadline.
    fn next(&self, now: Nanoseconds) -> Next {
        let mut places = self.places.lock();
        let mut next = NEVER;
        for place in places.iter_mut().filter(|place| place.waker.is_some()) {
            if place.deadline <= now
                && let Some(waker) = place.waker.take()
            {
                return Next::Due(waker);
            }
            next = next.min(place.deadline);
        }
        Next::At(next)
    }

    /// Has `waker` woken at `deadline`. Returns the index of the place, or `None` if all are taken.
    fn register(
        &self,
        place: Option<usize>,
        deadline: Nanoseconds,
        waker: &Waker,
    ) -> Option<usize> {
        // Cloned and dropped outside of the lock: both are foreign code.
        let waker = waker.clone();
        let mut places = self.places.lock();
        let index = place.or_else(|| places.iter().position(|place| !place.is_taken))?;
        let place = &mut places[index];
        place.is_taken = true;
        place.deadline = deadline;
        let before = place.waker.replace(waker);
        drop(places);
        drop(before);
        // If there is a permit already, the fiber looks anyway.
        let _released = self.changed.release(1);
        Some(index)
    }

    fn free(&self, index: usize) {
        let place = mem::replace(&mut self.places.lock()[index], Place::FREE);
        drop(place);
    }
}

/// What the fiber does next.
enum Next {
    Due(Waker),
    At(Nanoseconds),
}

impl<const DELAYS: usize> DelayNs for &DelayTimer<DELAYS> {
    /// # Panics
    ///
    /// The future panics if it is polled outside of a fiber.
    async fn delay_ns(&mut self, ns: u32) {
        Delay::new(self, Duration::from_nanos(ns.into())).await;
    }

    /// # Panics
    ///
    /// As [`delay_ns`](DelayNs::delay_ns).
    async fn delay_us(&mut self, us: u32) {
        Delay::new(self, Duration::from_micros(us.into())).await;
    }

    /// # Panics
    ///
    /// As [`delay_ns`](DelayNs::delay_ns).
    async fn delay_ms(&mut self, ms: u32) {
        Delay::new(self, Duration::from_millis(ms.into())).await;
    }
}

/// One delay.
struct Delay<'a, const DELAYS: usize> {
    timer: &'a DelayTimer<DELAYS>,
    deadline: Nanoseconds,
    place: Option<usize>,
}

impl<'a, const DELAYS: usize> Delay<'a, DELAYS> {
    fn new(timer: &'a DelayTimer<DELAYS>, duration: Duration) -> Self {
        Self {
            timer,
            deadline: after(duration),
            place: None,
        }
    }
}

impl<const DELAYS: usize> Future for Delay<'_, DELAYS> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.deadline <= now() {
            return Poll::Ready(());
        }
        let waker = context.waker();
        self.place = self.timer.register(self.place, self.deadline, waker);
        if self.place.is_none() {
            waker.wake_by_ref();
        }
        Poll::Pending
    }
}

impl<const DELAYS: usize> Drop for Delay<'_, DELAYS> {
    fn drop(&mut self) {
        if let Some(index) = self.place {
            self.timer.free(index);
        }
    }
}

impl<const DELAYS: usize> Default for DelayTimer<DELAYS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const DELAYS: usize> fmt::Debug for DelayTimer<DELAYS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelayTimer").finish_non_exhaustive()
    }
}
