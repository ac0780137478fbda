//! The guard of a part of a mutex's value.

use super::MutexGuard;
use super::raw::RawMutex;
use crate::scheduler::cpu::misuse;
use crate::scheduler::task::owner::OwnerWord;
use crate::sync::guard::impl_guard;
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// The guard of a part of the value of a locked [`Mutex`](super::Mutex), which
/// [`MutexGuard::map`] makes. The mutex is unlocked when the guard is dropped.
///
/// A [`Condvar`](crate::sync::Condvar) does not take this guard, because the part might not exist any
/// more after the wait.
#[must_use = "dropping the guard unlocks at once"]
pub struct MappedMutexGuard<'a, T: ?Sized> {
    raw: &'a RawMutex,
    owner: OwnerWord,
    part: NonNull<T>,
    lent: PhantomData<&'a mut T>,
}

impl_guard!(
    MappedMutexGuard => MappedMutexGuard,
    RawMutex,
    [mut],
    // SAFETY: the guard shows that its fiber, which runs, has it.
    |raw, owner| unsafe { raw.unlock(owner) }
);

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// Replaces the guard by one of a part of the value. If `choose` panics, the mutex is unlocked.
    ///
    /// This is an associated function, called as `MutexGuard::map(guard, …)`, so that it does not
    /// hide a method of the value.
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
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing, unless `choose` waits.
    pub fn map<U: ?Sized>(
        mut guard: Self,
        choose: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedMutexGuard<'a, U> {
        let part = NonNull::from(choose(&mut guard));
        guard.into_mapped(part)
    }

    /// Replaces the guard by one of a part of the value, if `choose` returns one. If `choose`
    /// panics, the mutex is unlocked.
    ///
    /// # Errors
    ///
    /// Gives the guard back if `choose` returns `None`.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing, unless `choose` waits.
    pub fn try_map<U: ?Sized>(
        mut guard: Self,
        choose: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<MappedMutexGuard<'a, U>, Self> {
        match choose(&mut guard).map(NonNull::from) {
            Some(part) => Ok(guard.into_mapped(part)),
            None => Err(guard),
        }
    }

    fn into_mapped<U: ?Sized>(self, part: NonNull<U>) -> MappedMutexGuard<'a, U> {
        let guard = ManuallyDrop::new(self);
        // SAFETY: the guard showed that its fiber has locked the mutex, and it is used no more.
        // Its value lent the part.
        unsafe { MappedMutexGuard::new(&guard.mutex.raw, guard.owner, part) }
    }
}
