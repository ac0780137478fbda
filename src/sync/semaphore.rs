//! The counting semaphore: permits that are taken and given back, from interrupt handlers too.

mod word;

use super::line::{Line, Waiter};
use super::locked::Locked;
use crate::platform::Nanoseconds;
use crate::scheduler::cpu::current;
use crate::scheduler::{WaitError, after};
use core::fmt;
use core::sync::atomic::{AtomicPtr, Ordering};
use core::time::Duration;
use word::{AWAITED, of};

/// A number of permits. Waiters get theirs first come, first served.
///
/// ```
/// use kfiber::sync::Semaphore;
///
/// static PERMITS: Semaphore = Semaphore::new(1);
///
/// assert!(PERMITS.try_acquire());
/// assert!(!PERMITS.try_acquire());
/// PERMITS.release(1).unwrap();
/// assert_eq!(PERMITS.available(), 1);
/// ```
pub struct Semaphore {
    /// How many permits there are, or who waits.
    word: AtomicPtr<Waiter>,
    limit: usize,
    line: Locked<Line>,
}

/// More permits were given back than the semaphore holds; none of them was taken in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TooManyPermits {
    /// How many were to be given back.
    pub count: usize,
}

impl Semaphore {
    /// The most permits that a semaphore can have.
    pub const MAX: usize = usize::MAX >> 1;

    /// Returns a semaphore with this many permits, which can have up to [`MAX`](Self::MAX).
    ///
    /// # Panics
    ///
    /// Panics if that is more than [`MAX`](Self::MAX): in a static, at compile time.
    #[must_use]
    pub const fn new(permits: usize) -> Self {
        Self::with_limit(permits, Self::MAX)
    }

    /// Returns a semaphore with this many permits, which can have up to `limit`: one, for instance.
    ///
    /// # Panics
    ///
    /// Panics if `permits` is more than `limit`, or `limit` more than [`MAX`](Self::MAX): in a static, at compile time.
    #[must_use]
    pub const fn with_limit(permits: usize, limit: usize) -> Self {
        assert!(
            limit <= Self::MAX,
            "a semaphore's limit is `Semaphore::MAX` at most"
        );
        assert!(
            permits <= limit,
            "a semaphore cannot begin with more permits than its limit"
        );
        Self {
            word: AtomicPtr::new(of(permits)),
            limit,
            line: Locked::new(Line::new()),
        }
    }

    /// How many permits are there to be taken.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn available(&self) -> usize {
        match self.word.load(Ordering::Relaxed).addr() {
            permits @ 0..AWAITED => permits,
            _ => 0,
        }
    }

    /// Takes a permit, or waits for one.
    ///
    /// # Errors
    ///
    /// [`WaitError::Cancelled`] if the fiber is asked to end while it waits.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed, also if it need not wait.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[inline(always)]
    #[track_caller]
    pub fn acquire(&self) -> Result<(), WaitError> {
        let fiber = current::waiting_fiber();
        if self.try_acquire() {
            Ok(())
        } else {
            self.wait(fiber)
        }
    }

    /// As [`acquire`](Self::acquire), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire), and [`WaitError::TimedOut`].
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        self.acquire_until(after(timeout))
    }

    /// As [`acquire`](Self::acquire), but waits no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire), and [`WaitError::TimedOut`].
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[inline]
    #[track_caller]
    pub fn acquire_until(&self, deadline: Nanoseconds) -> Result<(), WaitError> {
        let fiber = current::waiting_fiber();
        if self.try_acquire() {
            Ok(())
        } else {
            self.wait_in_line(fiber, deadline)
        }
    }

    /// Takes a permit if there is one. Returns whether there was.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[inline(always)]
    #[must_use = "it says whether there was a permit"]
    pub fn try_acquire(&self) -> bool {
        let permits = self.word.load(Ordering::Relaxed).addr();
        // No permits, and one who waits, are out of the range; it is tried again only out of line.
        permits.wrapping_sub(1) < Self::MAX
            && (self.change(of(permits), of(permits - 1), Ordering::Acquire)
                || self.try_acquire_again())
    }

    /// Gives back, or adds, this many permits. They go to those who wait first.
    ///
    /// # Errors
    ///
    /// [`TooManyPermits`], and nothing is changed, if it would then have more than its limit.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[inline(always)]
    pub fn release(&self, count: usize) -> Result<(), TooManyPermits> {
        let permits = self.word.load(Ordering::Relaxed).addr();
        // The word of one who waits is above every limit.
        let is_added = permits < self.limit
            && count <= self.limit - permits
            && self.change(of(permits), of(permits + count), Ordering::Release);
        if is_added {
            Ok(())
        } else {
            self.release_slowly(count)
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available", &self.available())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

debug_is_display!(TooManyPermits);

impl fmt::Display for TooManyPermits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count } = self;
        write!(
            f,
            "{count} more permits than the semaphore may have: release only what was acquired, or raise its limit"
        )
    }
}

impl core::error::Error for TooManyPermits {}
