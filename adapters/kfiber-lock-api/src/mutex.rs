//! The raw mutex.

use core::mem;
use core::time::Duration;
use kfiber::platform::Nanoseconds;
use kfiber::scheduler::{FiberId, after};
use kfiber::sync::{self, LockError};
use lock_api::{GuardNoSend, RawMutex as _};

/// A mutex of `lock_api` for which fibers wait.
pub type Mutex<T> = lock_api::Mutex<RawMutex, T>;
/// The guard of a [`Mutex`].
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawMutex, T>;
/// The guard of a part of what a [`Mutex`] protects.
pub type MappedMutexGuard<'a, T> = lock_api::MappedMutexGuard<'a, RawMutex, T>;

/// A [`kfiber::sync::Mutex`] as a raw lock of `lock_api`.
///
/// It keeps what kfiber promises: a fiber waits while others run, first come, first served; the
/// owner inherits the priority of those who wait; a deadlock is a panic that names the fibers. The
/// place that a report shows is the one that called `lock` of the `lock_api` type.
///
/// # If a holder fails
///
/// The traits of `lock_api` know no poison, and kfiber does not unwind a fiber that
/// [fails](kfiber::scheduler::failures). The mutex therefore stays locked by the failed fiber:
///
/// - `lock`, `try_lock_for` and `try_lock_until` panic with a message that names the failed fiber,
///   and so do those that were already waiting. They do not wait for the deadline.
/// - `try_lock` returns `None`, and `is_locked` returns `true`.
/// - [`clear_poison`](Self::clear_poison) makes the mutex usable again.
/// - `MutexGuard::unlocked` and `MutexGuard::bump` panic when they cannot lock again. On a host,
///   where the panic unwinds, dropping the guard then unlocks nothing.
///
/// # Context
///
/// All functions that lock panic outside of fibers, in interrupt handlers, and with interrupts off.
/// The `Debug` of [`Mutex`] is among them, because it tries to lock.
#[derive(Debug)]
pub struct RawMutex(sync::Mutex<()>);

impl RawMutex {
    /// Returns whether the fiber that owns the mutex has failed.
    ///
    /// To get at the raw mutex of a [`Mutex`], use `lock_api`'s `Mutex::raw`.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.0.is_poisoned()
    }

    /// Takes the mutex from its failed owner, and hands it to the first waiting fiber, if there is
    /// one. Returns false, and does nothing, if the owner has not failed.
    ///
    /// # Panics
    ///
    /// Panics outside of fibers, in interrupt handlers, and with interrupts off.
    ///
    /// # Safety
    ///
    /// What the mutex protects must be valid, and nothing may access it through a reference that
    /// the failed fiber lent: see [`clear_poison`](sync::Mutex::clear_poison) of kfiber.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    #[track_caller]
    pub unsafe fn clear_poison(&self) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.0.clear_poison() }
    }

    /// Returns the fiber that owns the mutex, as [`owner`](sync::Mutex::owner) of kfiber does.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn owner(&self) -> Option<FiberId> {
        self.0.owner()
    }
}

// SAFETY: the mutex of kfiber is exclusive, and it is unlocked only in place of a guard that was
// forgotten when it was locked.
unsafe impl lock_api::RawMutex for RawMutex {
    const INIT: Self = Self(sync::Mutex::new(()));

    type GuardMarker = GuardNoSend;

    #[inline]
    #[track_caller]
    fn lock(&self) {
        mem::forget(self.0.lock());
    }

    #[inline]
    #[track_caller]
    fn try_lock(&self) -> bool {
        self.0.try_lock().map(mem::forget).is_some()
    }

    #[inline]
    #[track_caller]
    unsafe fn unlock(&self) {
        // SAFETY: the caller's promise, and each guard is forgotten above and below.
        unsafe { self.0.force_unlock() };
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.0.is_locked()
    }
}

// SAFETY: an unlocked mutex of kfiber is handed over to the fiber that has waited longest.
unsafe impl lock_api::RawMutexFair for RawMutex {
    #[inline]
    #[track_caller]
    unsafe fn unlock_fair(&self) {
        // SAFETY: the caller's promise.
        unsafe { self.unlock() };
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawMutexTimed for RawMutex {
    type Duration = Duration;
    type Instant = Nanoseconds;

    #[track_caller]
    fn try_lock_for(&self, timeout: Duration) -> bool {
        self.try_lock_until(after(timeout))
    }

    #[track_caller]
    fn try_lock_until(&self, deadline: Nanoseconds) -> bool {
        match self.0.lock_until(deadline) {
            Ok(guard) => mem::forget(guard),
            Err(LockError::TimedOut) => return false,
            // This panics and says who failed, unless somebody has cleared the poison meanwhile.
            Err(LockError::Poisoned) => self.lock(),
        }
        true
    }
}
