//! The mutex that its owner may lock again, for instance that of a console.

use crate::RawMutex;
use core::num::NonZeroUsize;
use kfiber::scheduler;

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

// SAFETY: no two fibers that exist at the same time have the same address.
unsafe impl lock_api::GetThreadId for RawFiberId {
    const INIT: Self = Self(());

    /// # Panics
    ///
    /// Panics outside of fibers.
    #[track_caller]
    fn nonzero_thread_id(&self) -> NonZeroUsize {
        scheduler::current()
            .expect("a `ReentrantMutex` was locked outside of a fiber: only fibers can own what others wait for")
            .address()
    }
}
