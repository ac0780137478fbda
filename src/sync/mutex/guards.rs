//! The guards of a mutex.

use super::raw::RawMutex;
use crate::scheduler::cpu::misuse;
use crate::scheduler::task::owner::OwnerWord;
use crate::sync::guard::impl_guard;
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// The guard of a locked [`Mutex`](super::Mutex). The mutex is unlocked when the guard is dropped.
///
/// The guard stays in its fiber, which may wait while it holds the guard.
///
/// ```
/// use kfiber::{platform::Host, scheduler::{FiberPool, Scheduler}};
/// use kfiber::sync::{MappedMutexGuard, Mutex, MutexGuard};
///
/// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
/// static CELLS: FiberPool<65536, 1> = FiberPool::new();
/// static POINT: Mutex<(u32, u32)> = Mutex::new((1, 2));
///
/// fn lock_y() -> MappedMutexGuard<'static, u32> {
///     MutexGuard::map(POINT.lock(), |point| &mut point.1)
/// }
///
/// let fiber = SCHEDULER.spawn(&CELLS, || {
///     *lock_y() = 7;
///     *POINT.lock()
/// })?;
/// SCHEDULER.run();
/// assert_eq!(fiber.try_join().unwrap(), (1, 7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping the guard unlocks at once"]
pub struct MutexGuard<'a, T: ?Sized> {
    raw: &'a RawMutex,
    owner: OwnerWord,
    part: NonNull<T>,
    lent: PhantomData<&'a mut T>,
}

/// The guard of a part of the value of a locked [`Mutex`](super::Mutex), which
/// [`MutexGuard::map`] makes. The mutex is unlocked when the guard is dropped.
///
/// A [`Condvar`](crate::sync::Condvar) does not take this guard, because the part might not exist
/// any more after the wait.
#[must_use = "dropping the guard unlocks at once"]
pub struct MappedMutexGuard<'a, T: ?Sized> {
    raw: &'a RawMutex,
    owner: OwnerWord,
    part: NonNull<T>,
    lent: PhantomData<&'a mut T>,
}

const UNLOCK: fn(&RawMutex, OwnerWord) = |raw, owner| {
    // SAFETY: the guard shows that its fiber, which runs, has it.
    unsafe { raw.unlock(owner) };
};

impl_guard!(MutexGuard => MappedMutexGuard, RawMutex, [mut], UNLOCK);
impl_guard!(MappedMutexGuard => MappedMutexGuard, RawMutex, [mut], UNLOCK);

impl<T: ?Sized> MutexGuard<'_, T> {
    /// Panics if the running fiber is not the one that locked the mutex.
    ///
    /// On a host, a thread local can carry a guard to another fiber. On the bare machine there are
    /// no thread locals in safe code and a guard is not `Send`, so the check costs nothing there.
    #[inline(always)]
    #[track_caller]
    pub(in crate::sync) fn check_owner(&self, what: &str) {
        misuse::check_guard(self.owner, what);
    }

    /// Unlocks the mutex temporarily.
    ///
    /// # Safety
    ///
    /// The guard must not be used or dropped, not even by unwinding, before
    /// [`lock_again`](Self::lock_again) is called.
    pub(in crate::sync) unsafe fn unlock(&mut self) {
        // SAFETY: the guard shows that its fiber, which runs, has it; the guard is not used
        // meanwhile.
        unsafe { self.raw.unlock(self.owner) };
    }

    /// Locks the mutex again after [`unlock`](Self::unlock).
    #[track_caller]
    pub(in crate::sync) fn lock_again(&mut self) {
        if !self.raw.try_lock(self.owner) {
            self.raw.wait_again(self.owner.fiber());
        }
    }
}
