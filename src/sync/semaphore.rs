//! The counting semaphore: permits that are taken and given back, from interrupt handlers too.

use super::line::{Line, Served, Waiter};
use super::locked::Locked;
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::header::Header;
use crate::scheduler::{WaitError, WaitReason, after, current};
use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

/// Fibers wait; then there are no permits. It is changed in the line's lock only.
const AWAITED: usize = usize::MAX;

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
    permits: AtomicUsize,
    limit: usize,
    line: Locked<Line>,
}

/// More permits were given back than the semaphore holds; none of them was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
            permits: AtomicUsize::new(permits),
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
        match self.permits.load(Ordering::Relaxed) {
            AWAITED => 0,
            permits => permits,
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
            self.wait_until(fiber, deadline)
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
        let permits = self.permits.load(Ordering::Relaxed);
        // No permits and `AWAITED` are out of the range; it is tried again only out of line.
        permits.wrapping_sub(1) < Self::MAX
            && (self.change(permits, permits - 1, Ordering::Acquire) || self.try_acquire_again())
    }

    #[cold]
    #[inline(never)]
    fn try_acquire_again(&self) -> bool {
        let mut permits = self.permits.load(Ordering::Relaxed);
        while permits.wrapping_sub(1) < Self::MAX {
            if self.change(permits, permits - 1, Ordering::Acquire) {
                return true;
            }
            permits = self.permits.load(Ordering::Relaxed);
        }
        false
    }

    #[inline(always)]
    fn change(&self, from: usize, to: usize, order: Ordering) -> bool {
        self.permits
            .compare_exchange(from, to, order, Ordering::Relaxed)
            .is_ok()
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
        let permits = self.permits.load(Ordering::Relaxed);
        // `AWAITED` is above every limit.
        let is_added = permits < self.limit
            && count <= self.limit - permits
            && self.change(permits, permits + count, Ordering::Release);
        if is_added {
            Ok(())
        } else {
            self.release_slowly(count)
        }
    }

    #[inline(never)]
    fn release_slowly(&self, count: usize) -> Result<(), TooManyPermits> {
        loop {
            let permits = self.permits.load(Ordering::Relaxed);
            if permits == AWAITED {
                if let Some(result) = self.hand_over(count) {
                    return result;
                }
            } else if count > self.limit - permits {
                return Err(TooManyPermits { count });
            } else if self.change(permits, permits + count, Ordering::Release) {
                return Ok(());
            }
        }
    }

    /// Gives permits to those who wait; nothing if the last one has left meanwhile.
    #[inline(always)]
    fn hand_over(&self, count: usize) -> Option<Result<(), TooManyPermits>> {
        if count == 1 {
            return self.hand_one_over();
        }
        let mut served = Served::nobody();
        let handed = self.line.with(|line| {
            if self.permits.load(Ordering::Relaxed) != AWAITED {
                return None;
            }
            let waiting = line.iter().take(count).count();
            let left = count - waiting;
            if left > self.limit {
                return Some(Err(TooManyPermits { count }));
            }
            for _ in 0..waiting {
                let _waiter = line.serve_first(&mut served);
            }
            if line.is_empty() {
                self.permits.store(left, Ordering::Release);
            }
            Some(Ok(()))
        });
        served.wake();
        handed
    }

    /// Gives a permit to the one who has waited longest, if one waits.
    #[inline(always)]
    fn hand_one_over(&self) -> Option<Result<(), TooManyPermits>> {
        let waiter = self.line.with(|line| {
            let waiter = line.pop()?;
            if line.is_empty() {
                self.permits.store(0, Ordering::Release);
            }
            Some(waiter)
        })?;
        // SAFETY: it was popped, and the line is unlocked.
        unsafe { Waiter::wake(waiter) };
        Some(Ok(()))
    }

    #[inline(never)]
    #[track_caller]
    fn wait(&self, fiber: *const Header) -> Result<(), WaitError> {
        self.wait_in_line(fiber, NEVER)
    }

    #[inline(never)]
    #[track_caller]
    fn wait_until(&self, fiber: *const Header, deadline: Nanoseconds) -> Result<(), WaitError> {
        self.wait_in_line(fiber, deadline)
    }

    #[inline(always)]
    #[track_caller]
    fn wait_in_line(&self, fiber: *const Header, deadline: Nanoseconds) -> Result<(), WaitError> {
        let waiter = Waiter::new(fiber);
        let is_in_line = self.line.with_interrupts_on(|line| {
            loop {
                let permits = self.permits.load(Ordering::Relaxed);
                let can_wait = permits == AWAITED
                    || permits == 0 && self.change(0, AWAITED, Ordering::Relaxed);
                if can_wait {
                    // SAFETY: it is new, and `wait` keeps it in place.
                    unsafe { line.push(&raw const waiter) };
                    return true;
                }
                if self.try_acquire() {
                    return false;
                }
            }
        });
        if !is_in_line {
            return Ok(());
        }
        let object = ptr::from_ref(self).cast();
        waiter.wait(
            &self.line,
            WaitReason::Semaphore,
            object,
            deadline,
            |line, waiter| {
                line.remove(waiter);
                if line.is_empty() {
                    self.permits.store(0, Ordering::Relaxed);
                }
                Served::nobody()
            },
        )
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
