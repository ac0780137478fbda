//! The mutex that its owner may lock again, for instance that of a console.

use crate::RawMutex;
use core::num::NonZeroUsize;
use kfiber::scheduler;
use lock_api::RawMutex as _;

/// A mutex that the fiber that owns it may lock again. It gives shared access only.
pub type ReentrantMutex<T> = lock_api::ReentrantMutex<RawMutex, RawFiberId, T>;
/// The guard of a [`ReentrantMutex`].
pub type ReentrantMutexGuard<'a, T> = lock_api::ReentrantMutexGuard<'a, RawMutex, RawFiberId, T>;
/// The guard of a part of what a [`ReentrantMutex`] protects.
pub type MappedReentrantMutexGuard<'a, T> =
    lock_api::MappedReentrantMutexGuard<'a, RawMutex, RawFiberId, T>;

/// What a [`ReentrantMutex`] recognises a fiber by: the address that it has while it exists.
///
/// A fiber that leaked its guard and ended is mistaken for the next one in the same cell, which
/// then may lock. No reference to the value can be left elsewhere, so this does no harm.
#[derive(Debug)]
pub struct RawFiberId(());

// SAFETY: no two fibers that exist at the same time have the same address, and code that may be that
// of an interrupt handler, which is not the fiber that it has interrupted, gets none.
unsafe impl lock_api::GetThreadId for RawFiberId {
    const INIT: Self = Self(());

    /// # Panics
    ///
    /// Panics outside of fibers, in interrupt handlers, and with interrupts off.
    #[track_caller]
    fn nonzero_thread_id(&self) -> NonZeroUsize {
        // The mutex itself is not asked if its owner seems to lock it again. So another one is asked.
        let other = RawMutex::INIT;
        let _is_locked = other.try_lock();
        scheduler::current()
            .expect("a `ReentrantMutex` was locked outside of a fiber: only fibers can own what others wait for")
            .address()
    }
}
