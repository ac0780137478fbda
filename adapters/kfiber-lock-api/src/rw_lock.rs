//! The raw reader-writer lock.

use core::mem;
use core::time::Duration;
use kfiber::platform::Nanoseconds;
use kfiber::scheduler::after;
use kfiber::sync::{self, LockError};
use lock_api::{GuardNoSend, RawRwLock as _};

/// A reader-writer lock of `lock_api` for which fibers wait.
pub type RwLock<T> = lock_api::RwLock<RawRwLock, T>;
/// The guard of an [`RwLock`] that is locked for reading.
pub type RwLockReadGuard<'a, T> = lock_api::RwLockReadGuard<'a, RawRwLock, T>;
/// The guard of an [`RwLock`] that is locked for writing.
pub type RwLockWriteGuard<'a, T> = lock_api::RwLockWriteGuard<'a, RawRwLock, T>;
/// The guard of a part of what an [`RwLock`] protects, for reading.
pub type MappedRwLockReadGuard<'a, T> = lock_api::MappedRwLockReadGuard<'a, RawRwLock, T>;
/// The guard of a part of what an [`RwLock`] protects, for writing.
pub type MappedRwLockWriteGuard<'a, T> = lock_api::MappedRwLockWriteGuard<'a, RawRwLock, T>;

/// A [`kfiber::sync::RwLock`] as a raw lock of `lock_api`.
///
/// It is first come, first served: a reader waits behind a writer that came before. A fiber that
/// already reads must therefore not read again, which the traits for recursive reading would
/// promise, so they are not implemented.
///
/// # If a holder fails
///
/// A fiber that [fails](kfiber::scheduler::failures) keeps the lock, as with a
/// [`RawMutex`](super::RawMutex#if-a-holder-fails). If it wrote, all functions that wait panic, and
/// the `try_` functions without a deadline return `None`. If it read, others may read, but no fiber
/// can write again: `write` panics with the report of a deadlock, and the forms with a deadline
/// wait for it.
///
/// # Context
///
/// All functions that lock panic outside of fibers, in interrupt handlers, and with interrupts off.
/// The `Debug` of [`RwLock`] is among them, because it tries to lock.
#[derive(Debug)]
pub struct RawRwLock(sync::RwLock<()>);

impl RawRwLock {
    /// Returns whether the fiber that writes has failed.
    ///
    /// To get at the raw lock of an [`RwLock`], use `lock_api`'s `RwLock::raw`.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.0.is_poisoned()
    }

    /// Takes the lock from the fiber that failed while it wrote, and hands it to the waiting
    /// fibers. Returns false, and does nothing, if no such fiber has failed.
    ///
    /// # Safety
    ///
    /// As for [`RawMutex::clear_poison`](super::RawMutex::clear_poison).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    pub unsafe fn clear_poison(&self) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.0.clear_poison() }
    }
}

// SAFETY: a writer of kfiber's lock is alone, and it is unlocked only in place of a guard that was
// forgotten when it was locked.
unsafe impl lock_api::RawRwLock for RawRwLock {
    const INIT: Self = Self(sync::RwLock::new(()));

    type GuardMarker = GuardNoSend;

    #[track_caller]
    fn lock_shared(&self) {
        mem::forget(self.0.read());
    }

    #[track_caller]
    fn try_lock_shared(&self) -> bool {
        self.0.try_read().map(mem::forget).is_some()
    }

    #[track_caller]
    unsafe fn unlock_shared(&self) {
        // SAFETY: the caller's promise, and each guard is forgotten.
        unsafe { self.0.force_unlock_read() };
    }

    #[track_caller]
    fn lock_exclusive(&self) {
        mem::forget(self.0.write());
    }

    #[track_caller]
    fn try_lock_exclusive(&self) -> bool {
        self.0.try_write().map(mem::forget).is_some()
    }

    #[track_caller]
    unsafe fn unlock_exclusive(&self) {
        // SAFETY: the caller's promise, and each guard is forgotten.
        unsafe { self.0.force_unlock_write() };
    }

    fn is_locked(&self) -> bool {
        self.0.is_locked()
    }

    fn is_locked_exclusive(&self) -> bool {
        self.0.is_locked_exclusive()
    }
}

// SAFETY: an unlocked lock of kfiber is handed over to those that have waited longest.
unsafe impl lock_api::RawRwLockFair for RawRwLock {
    #[track_caller]
    unsafe fn unlock_shared_fair(&self) {
        // SAFETY: the caller's promise.
        unsafe { self.unlock_shared() };
    }

    #[track_caller]
    unsafe fn unlock_exclusive_fair(&self) {
        // SAFETY: the caller's promise.
        unsafe { self.unlock_exclusive() };
    }
}

// SAFETY: no writer gets in between.
unsafe impl lock_api::RawRwLockDowngrade for RawRwLock {
    #[track_caller]
    unsafe fn downgrade(&self) {
        // SAFETY: the caller's promise, and each guard is forgotten.
        unsafe { self.0.force_downgrade() };
    }
}

// SAFETY: as for the waits without a deadline.
unsafe impl lock_api::RawRwLockTimed for RawRwLock {
    type Duration = Duration;
    type Instant = Nanoseconds;

    #[track_caller]
    fn try_lock_shared_for(&self, timeout: Duration) -> bool {
        self.try_lock_shared_until(after(timeout))
    }

    #[track_caller]
    fn try_lock_shared_until(&self, deadline: Nanoseconds) -> bool {
        match self.0.read_until(deadline) {
            Ok(guard) => mem::forget(guard),
            Err(LockError::TimedOut) => return false,
            // This panics, unless somebody has cleared the poison meanwhile.
            Err(LockError::Poisoned) => self.lock_shared(),
        }
        true
    }

    #[track_caller]
    fn try_lock_exclusive_for(&self, timeout: Duration) -> bool {
        self.try_lock_exclusive_until(after(timeout))
    }

    #[track_caller]
    fn try_lock_exclusive_until(&self, deadline: Nanoseconds) -> bool {
        match self.0.write_until(deadline) {
            Ok(guard) => mem::forget(guard),
            Err(LockError::TimedOut) => return false,
            // As above.
            Err(LockError::Poisoned) => self.lock_exclusive(),
        }
        true
    }
}
