//! The counting semaphore: fibers acquire permits; fibers and interrupt handlers release them.

mod word;

use super::line::{Line, Waiter};
use super::locked::Locked;
use crate::atomic::unseen::AtomicPtr;
use crate::platform::Nanoseconds;
use crate::scheduler::cpu::current;
use crate::scheduler::{WaitError, after};
use core::fmt;
use core::sync::atomic::Ordering;
use core::time::Duration;
use word::{AWAITED, of};

/// A counting semaphore. Waiting fibers receive permits first come, first served.
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
    /// The number of permits, or the fibers that wait.
    word: AtomicPtr<Waiter>,
    limit: usize,
    line: Locked<Line>,
}

/// The error of a release that would exceed the limit of the semaphore. No permit was added.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TooManyPermits {
    /// The number of permits that were to be released.
    pub count: usize,
}

impl Semaphore {
    /// The largest number of permits that a semaphore can have.
    pub const MAX: usize = usize::MAX >> 1;

    /// Creates a semaphore with this many permits and a limit of [`MAX`](Self::MAX).
    ///
    /// # Panics
    ///
    /// Panics if `permits` is more than [`MAX`](Self::MAX). In a static, this is a compile-time
    /// error.
    #[must_use]
    pub const fn new(permits: usize) -> Self {
        Self::with_limit(permits, Self::MAX)
    }

    /// Creates a semaphore with this many permits, which never has more than `limit`. A limit of
    /// one makes a binary semaphore.
    ///
    /// # Panics
    ///
    /// Panics if `permits` is more than `limit`, or if `limit` is more than [`MAX`](Self::MAX). In
    /// a static, this is a compile-time error.
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

    /// Returns the number of available permits.
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

    /// Acquires a permit, and waits for one if none is available.
    ///
    /// # Errors
    ///
    /// Returns [`WaitError::Cancelled`] if the fiber is cancelled while it waits.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed, even if a permit is available.
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

    /// Behaves like [`acquire`](Self::acquire), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`acquire`](Self::acquire), and [`WaitError::TimedOut`] when the time
    /// has passed.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`acquire`](Self::acquire).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<(), WaitError> {
        self.acquire_until(after(timeout))
    }

    /// Behaves like [`acquire`](Self::acquire), but waits no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`acquire`](Self::acquire), and [`WaitError::TimedOut`] when the time
    /// has passed.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`acquire`](Self::acquire).
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

    /// Acquires a permit if one is available. Returns whether it did.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[inline(always)]
    #[must_use = "it says whether there was a permit"]
    pub fn try_acquire(&self) -> bool {
        let permits = self.word.load(Ordering::Relaxed).addr();
        // A word of zero, or with a waiter, is out of this range. Retries are kept out of line.
        permits.wrapping_sub(1) < Self::MAX
            && (self.change(of(permits), of(permits - 1), Ordering::Acquire)
                || self.try_acquire_again())
    }

    /// Releases this many permits, and adds those that no waiting fiber takes.
    ///
    /// Permits that were never acquired may be released too.
    ///
    /// # Errors
    ///
    /// Returns [`TooManyPermits`], and changes nothing, if the semaphore would then have more
    /// permits than its limit.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[inline(always)]
    pub fn release(&self, count: usize) -> Result<(), TooManyPermits> {
        let permits = self.word.load(Ordering::Relaxed).addr();
        // A word with a waiter is above every limit.
        let is_released = if permits < self.limit && count <= self.limit - permits {
            self.change(of(permits), of(permits + count), Ordering::Release)
        } else {
            count == 1 && self.give_to_lone()
        };
        if is_released {
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
            "{count} more permits would exceed the limit of the semaphore: release only what was acquired, or raise its limit"
        )
    }
}

impl core::error::Error for TooManyPermits {}
