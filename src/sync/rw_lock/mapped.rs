//! The guards of a part of a reader-writer lock's value.

use super::guards::{RwLockReadGuard, RwLockWriteGuard};
use super::raw::RawRwLock;
use crate::scheduler::cpu::misuse;
use crate::scheduler::task::owner::OwnerWord;
use crate::sync::mapped::impl_mapped_guard;
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// The guard of a part of the value of an [`RwLock`](super::RwLock) that is locked for reading,
/// which [`RwLockReadGuard::map`] makes. Dropping the guard unlocks it.
#[must_use = "dropping the guard unlocks at once"]
pub struct MappedRwLockReadGuard<'a, T: ?Sized> {
    raw: &'a RawRwLock,
    owner: OwnerWord,
    part: NonNull<T>,
    lent: PhantomData<&'a T>,
}

impl_mapped_guard!(MappedRwLockReadGuard, RawRwLock, [], RawRwLock::unlock_read);

/// The guard of a part of the value of an [`RwLock`](super::RwLock) that is locked for writing,
/// which [`RwLockWriteGuard::map`] makes. Dropping the guard unlocks it.
#[must_use = "dropping the guard unlocks at once"]
pub struct MappedRwLockWriteGuard<'a, T: ?Sized> {
    raw: &'a RawRwLock,
    owner: OwnerWord,
    part: NonNull<T>,
    lent: PhantomData<&'a mut T>,
}

impl_mapped_guard!(
    MappedRwLockWriteGuard,
    RawRwLock,
    [mut],
    |raw, _| raw.unlock_write()
);

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    /// Replaces the guard by one of a part of the value. If `choose` panics, the lock is unlocked.
    ///
    /// This is an associated function, called as `RwLockReadGuard::map(guard, …)`, so that it does
    /// not hide a method of the value.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing, unless `choose` waits.
    pub fn map<U: ?Sized>(
        guard: Self,
        choose: impl FnOnce(&T) -> &U,
    ) -> MappedRwLockReadGuard<'a, U> {
        let part = NonNull::from(choose(&guard));
        guard.into_mapped(part)
    }

    /// Replaces the guard by one of a part of the value, if `choose` returns one. If `choose`
    /// panics, the lock is unlocked.
    ///
    /// # Errors
    ///
    /// Gives the guard back if `choose` returns `None`.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing, unless `choose` waits.
    pub fn try_map<U: ?Sized>(
        guard: Self,
        choose: impl FnOnce(&T) -> Option<&U>,
    ) -> Result<MappedRwLockReadGuard<'a, U>, Self> {
        match choose(&guard).map(NonNull::from) {
            Some(part) => Ok(guard.into_mapped(part)),
            None => Err(guard),
        }
    }

    fn into_mapped<U: ?Sized>(self, part: NonNull<U>) -> MappedRwLockReadGuard<'a, U> {
        let guard = ManuallyDrop::new(self);
        // SAFETY: the guard showed that its fiber reads, and it is used no more. Its value lent the
        // part.
        unsafe { MappedRwLockReadGuard::new(&guard.lock.raw, guard.owner, part) }
    }
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Replaces the guard by one of a part of the value. If `choose` panics, the lock is unlocked.
    ///
    /// This is an associated function, called as `RwLockWriteGuard::map(guard, …)`, so that it does
    /// not hide a method of the value.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing, unless `choose` waits.
    pub fn map<U: ?Sized>(
        mut guard: Self,
        choose: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedRwLockWriteGuard<'a, U> {
        let part = NonNull::from(choose(&mut guard));
        guard.into_mapped(part)
    }

    /// Replaces the guard by one of a part of the value, if `choose` returns one. If `choose`
    /// panics, the lock is unlocked.
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
    ) -> Result<MappedRwLockWriteGuard<'a, U>, Self> {
        match choose(&mut guard).map(NonNull::from) {
            Some(part) => Ok(guard.into_mapped(part)),
            None => Err(guard),
        }
    }

    fn into_mapped<U: ?Sized>(self, part: NonNull<U>) -> MappedRwLockWriteGuard<'a, U> {
        let guard = ManuallyDrop::new(self);
        // SAFETY: the guard showed that its fiber writes, and it is used no more. Its value lent the
        // part.
        unsafe { MappedRwLockWriteGuard::new(&guard.lock.raw, guard.owner, part) }
    }
}
