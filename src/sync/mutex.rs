//! The mutex: a value that one fiber at a time may use, while others wait in line.

mod inheritance;
mod raw;

use crate::platform::Nanoseconds;
use crate::scheduler::cpu::{current, misuse};
use crate::scheduler::task::owner::OwnerWord;
use crate::scheduler::{FiberId, after};
use crate::sync::LockError;
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::time::Duration;
use raw::RawMutex;

/// A value that one fiber at a time may use.
///
/// ```
/// use kfiber::{platform::Host, scheduler::{self, FiberPool, Scheduler}, sync::Mutex};
///
/// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
/// static CELLS: FiberPool<65536, 2> = FiberPool::new();
/// static LIST: Mutex<[u32; 2]> = Mutex::new([0; 2]);
///
/// for number in [1, 2] {
///     SCHEDULER.spawn(&CELLS, move || {
///         let mut list = LIST.lock();
///         list[0] += number;
///         scheduler::yield_now(); // the other one cannot lock it meanwhile
///         list[1] += number;
///     })?.detach();
/// }
/// SCHEDULER.run();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Who is next
///
/// Unlocking hands it to the fiber that has waited longest, even before that one runs. Until then nobody can lock it: a
/// fiber that unlocks and locks again waits behind those who came before.
///
/// # Priorities
///
/// While fibers wait, the owner is scheduled at the highest of their priorities, if that is above its own; so is the owner
/// of a mutex that the owner waits for, and so on. It falls back when it unlocks, and when they stop waiting. What runs next is
/// looked at when the owner next yields or waits. Fibers of different schedulers do not lend each other their priority.
///
/// Of all waits in this crate only those for a mutex lend priority. A wait for an
/// [`RwLock`](super::RwLock), for a [`Once`](super::Once), for the end of a fiber or of a
/// [scope](crate::scheduler::scope()) does not, nor does one for a semaphore, a message or an event,
/// where it is not known who will give.
///
/// # Poison
///
/// A mutex that a fiber has while it [fails](crate::scheduler::failures) stays locked by that fiber for good: the value may be
/// half-changed, and the fiber may have lent it to others. The mutex is then *poisoned*. Nobody waits for it any more: `lock`
/// panics and says who failed and where, also in those who wait already; [`lock_until`](Self::lock_until) returns
/// [`LockError::Poisoned`], [`try_lock`](Self::try_lock) nothing. [`clear_poison`](Self::clear_poison) puts it back to use.
///
/// # Guards
///
/// A guard that is leaked keeps the mutex locked for good, also when its fiber ends: `lock` is then
/// a deadlock, which names the fiber that ended, and [`owner`](Self::owner) returns its id.
///
/// A guard belongs to the fiber that locked. On a host, safe code can carry one to another fiber of
/// the same thread through a thread local. Dropping it there, or waiting with it on a
/// [`Condvar`](super::Condvar), panics with the names of both fibers, and the mutex stays locked.
#[repr(C)] // so that the address that reports name is that of the whole
pub struct Mutex<T: ?Sized> {
    raw: RawMutex,
    value: UnsafeCell<T>,
}

// SAFETY: the value is used by one fiber at a time, perhaps in another thread than before.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

/// Shows that the fiber has locked a [`Mutex`]; dropping it unlocks.
///
/// It stays in its fiber, which may wait while it has one.
#[must_use = "dropping the guard unlocks at once"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    owner: OwnerWord,
    not_send: PhantomData<*mut ()>,
}

// SAFETY: a shared guard gives shared access to the value.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<T> Mutex<T> {
    /// Returns an unlocked mutex.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self {
            raw: RawMutex::new(),
            value: UnsafeCell::new(value),
        }
    }

    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Locks it, or waits until it is handed over. Cancelling the fiber does not disturb that.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed, also if it need not wait; if the fiber has locked it
    /// already: it would wait for itself; and if it is poisoned. Panics if the fiber that has it
    /// has ended, and if the wait would close a circle of fibers that wait for each other, unless
    /// [`Hooks::deadlocked`](crate::scheduler::Hooks::deadlocked) says otherwise.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[inline(always)]
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        let fiber = current::waiting_fiber();
        // SAFETY: it runs.
        let owner = unsafe { OwnerWord::of(fiber) };
        if !self.raw.try_lock(owner) {
            self.raw.wait(fiber);
        }
        self.guard(owner)
    }

    /// Locks it if nobody has, and returns nothing otherwise: if it is poisoned, too.
    ///
    /// # Panics
    ///
    /// Panics outside of fibers, in interrupt handlers, and with interrupts off.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    #[inline]
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        // SAFETY: it runs.
        let owner = unsafe { OwnerWord::of(current::owning_fiber()) };
        self.raw.try_lock(owner).then(|| self.guard(owner))
    }

    /// As [`lock`](Self::lock), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`LockError::TimedOut`], [`LockError::Poisoned`].
    ///
    /// # Panics
    ///
    /// As [`lock`](Self::lock), but for poison.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn lock_timeout(&self, timeout: Duration) -> Result<MutexGuard<'_, T>, LockError> {
        self.lock_until(after(timeout))
    }

    /// As [`lock`](Self::lock), but waits no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// [`LockError::TimedOut`], [`LockError::Poisoned`].
    ///
    /// # Panics
    ///
    /// As [`lock`](Self::lock), but for poison.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[inline]
    #[track_caller]
    pub fn lock_until(&self, deadline: Nanoseconds) -> Result<MutexGuard<'_, T>, LockError> {
        let fiber = current::waiting_fiber();
        // SAFETY: it runs.
        let owner = unsafe { OwnerWord::of(fiber) };
        if !self.raw.try_lock(owner) {
            self.raw.wait_until(fiber, deadline)?;
        }
        Ok(self.guard(owner))
    }

    #[inline(always)]
    const fn guard(&self, owner: OwnerWord) -> MutexGuard<'_, T> {
        MutexGuard {
            mutex: self,
            owner,
            not_send: PhantomData,
        }
    }

    /// Says whether the fiber that has it has failed.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.raw.is_poisoned()
    }

    /// Takes it from the fiber that has failed while it had it, and hands it to the first that waits, if any does. Returns
    /// false, and does nothing, if it is not poisoned.
    ///
    /// # Panics
    ///
    /// Panics outside of fibers, in interrupt handlers, and with interrupts off.
    ///
    /// # Safety
    ///
    /// The value is one that may be used: no code was in the middle of changing it, to something that is no `T`, where the fiber
    /// failed. And nobody uses it through what the fiber lent: no fiber of a scope of its, and no reference from a guard that
    /// it leaked.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    #[track_caller]
    pub unsafe fn clear_poison(&self) -> bool {
        self.raw.take_from_failed(current::owning_fiber())
    }

    /// Says whether a fiber has locked it just now, or had it when it failed.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        !self.raw.owner().is_nobody()
    }

    /// The fiber that has locked it just now, or that had when it ended, if its guard was leaked.
    ///
    /// (Which one that was of the fibers that shared a cell is known by five bits: after 32 more it
    /// is taken for a later one.)
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn owner(&self) -> Option<FiberId> {
        self.raw.owner().id()
    }

    /// The value, which is nobody else's.
    pub const fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: ?Sized> MutexGuard<'_, T> {
    /// Panics if the fiber that runs is not the one that locked: on a host a thread local can carry
    /// a guard to another one. There are none in safe code for the bare machine, and a guard is not
    /// `Send`, so there it costs nothing.
    #[inline(always)]
    #[track_caller]
    pub(super) fn check_owner(&self, what: &str) {
        misuse::check_guard(self.owner, what);
    }

    /// Unlocks the mutex for a while.
    ///
    /// # Safety
    ///
    /// Nothing is done with the guard, not even by unwinding, before [`lock_again`](Self::lock_again).
    pub(super) unsafe fn unlock(&mut self) {
        // SAFETY: the guard shows that its fiber, which runs, has it; the guard is not used meanwhile.
        unsafe { self.mutex.raw.unlock(self.owner) };
    }

    /// Ends what [`unlock`](Self::unlock) began.
    #[track_caller]
    pub(super) fn lock_again(&mut self) {
        let raw = &self.mutex.raw;
        if !raw.try_lock(self.owner) {
            raw.wait_again(self.owner.fiber());
        }
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the guard shows that this fiber has it.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.check_owner("dropped");
        // SAFETY: the guard shows that its fiber, which runs, has it.
        unsafe { self.mutex.raw.unlock(self.owner) };
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex")
            .field("owner", &self.owner())
            .finish_non_exhaustive()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
