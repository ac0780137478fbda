//! The guards of a reader-writer lock.

use super::raw::RawRwLock;
use crate::scheduler::cpu::misuse;
use crate::scheduler::task::owner::OwnerWord;
use crate::sync::guard::impl_guard;
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// The guard of an [`RwLock`](super::RwLock) that is locked for reading. Dropping the guard unlocks
/// it.
#[must_use = "dropping the guard unlocks at once"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    raw: &'a RawRwLock,
    owner: OwnerWord,
    part: NonNull<T>,
    lent: PhantomData<&'a T>,
}

/// The guard of an [`RwLock`](super::RwLock) that is locked for writing. Dropping the guard unlocks
/// it.
#[must_use = "dropping the guard unlocks at once"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    raw: &'a RawRwLock,
    owner: OwnerWord,
    part: NonNull<T>,
    lent: PhantomData<&'a mut T>,
}

/// The guard of a part of the value of an [`RwLock`](super::RwLock) that is locked for reading,
/// which [`RwLockReadGuard::map`] makes. Dropping the guard unlocks it.
#[must_use = "dropping the guard unlocks at once"]
pub struct MappedRwLockReadGuard<'a, T: ?Sized> {
    raw: &'a RawRwLock,
    owner: OwnerWord,
    part: NonNull<T>,
    lent: PhantomData<&'a T>,
}

/// The guard of a part of the value of an [`RwLock`](super::RwLock) that is locked for writing,
/// which [`RwLockWriteGuard::map`] makes. Dropping the guard unlocks it.
#[must_use = "dropping the guard unlocks at once"]
pub struct MappedRwLockWriteGuard<'a, T: ?Sized> {
    raw: &'a RawRwLock,
    owner: OwnerWord,
    part: NonNull<T>,
    lent: PhantomData<&'a mut T>,
}

impl_guard!(RwLockReadGuard => MappedRwLockReadGuard, RawRwLock, [], RawRwLock::unlock_read);
impl_guard!(RwLockWriteGuard => MappedRwLockWriteGuard, RawRwLock, [mut], RawRwLock::unlock_write);
impl_guard!(MappedRwLockReadGuard => MappedRwLockReadGuard, RawRwLock, [], RawRwLock::unlock_read);
impl_guard!(MappedRwLockWriteGuard => MappedRwLockWriteGuard, RawRwLock, [mut], RawRwLock::unlock_write);

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
        guard.raw.downgrade(guard.owner);
        // SAFETY: it is locked for reading now, and the guard is used no more.
        unsafe { RwLockReadGuard::new(guard.raw, guard.owner, guard.part) }
    }
}
