//! The guards of a reader-writer lock.

use super::RwLock;
use crate::scheduler::cpu::misuse;
use crate::scheduler::task::owner::OwnerWord;
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};

/// The guard of an [`RwLock`] that is locked for reading. Dropping the guard unlocks it.
#[must_use = "dropping the guard unlocks at once"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    pub(super) lock: &'a RwLock<T>,
    pub(super) owner: OwnerWord,
    not_send: PhantomData<*mut ()>,
}

/// The guard of an [`RwLock`] that is locked for writing. Dropping the guard unlocks it.
#[must_use = "dropping the guard unlocks at once"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    pub(super) lock: &'a RwLock<T>,
    pub(super) owner: OwnerWord,
    not_send: PhantomData<*mut ()>,
}

// SAFETY: a shared guard gives shared access to the value.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for RwLockWriteGuard<'_, T> {}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    pub(super) const fn new(lock: &'a RwLock<T>, owner: OwnerWord) -> Self {
        Self {
            lock,
            owner,
            not_send: PhantomData,
        }
    }
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Turns write access into read access. No other fiber can write in between, and the fibers
    /// that wait to read at the front of the queue read from now on.
    ///
    /// This is an associated function, called as `RwLockWriteGuard::downgrade(guard)`, so that it
    /// does not hide a method of the value.
    ///
    /// ```
    /// use kfiber::{platform::Host, scheduler::{FiberPool, Scheduler}};
    /// use kfiber::sync::{RwLock, RwLockWriteGuard};
    ///
    /// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
    /// static CELLS: FiberPool<65536, 1> = FiberPool::new();
    /// static ROUTES: RwLock<[u8; 2]> = RwLock::new([0; 2]);
    ///
    /// SCHEDULER.spawn(&CELLS, || {
    ///     let mut routes = ROUTES.write();
    ///     routes[0] = 7;
    ///     let routes = RwLockWriteGuard::downgrade(routes);
    ///     assert_eq!(ROUTES.read()[0], routes[0]);
    /// })?.detach();
    /// SCHEDULER.run();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// Panics on a host if another fiber than the one that locked calls it.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    #[track_caller]
    pub fn downgrade(guard: Self) -> RwLockReadGuard<'a, T> {
        // A guard that is not this fiber's must not be dropped, which would panic as well.
        let guard = ManuallyDrop::new(guard);
        misuse::check_guard(guard.owner, "downgraded");
        guard.lock.raw.downgrade(guard.owner);
        RwLockReadGuard::new(guard.lock, guard.owner)
    }

    pub(super) const fn new(lock: &'a RwLock<T>, owner: OwnerWord) -> Self {
        Self {
            lock,
            owner,
            not_send: PhantomData,
        }
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard shows that nobody writes.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard shows that nobody else has it.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        // This is the same check as for the guard of a mutex.
        misuse::check_guard(self.owner, "dropped");
        self.lock.raw.unlock_read(self.owner);
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        misuse::check_guard(self.owner, "dropped");
        self.lock.raw.unlock_write();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
