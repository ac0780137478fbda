//! The mutex: a value that one fiber at a time may access, while others wait in line.

mod forgotten;
mod guards;
mod inheritance;
mod raw;

use crate::platform::Nanoseconds;
use crate::scheduler::cpu::current;
use crate::scheduler::task::owner::OwnerWord;
use crate::scheduler::{FiberId, after};
use crate::sync::LockError;
use core::cell::UnsafeCell;
use core::fmt;
use core::ptr::NonNull;
use core::time::Duration;
use raw::RawMutex;

pub use guards::{MappedMutexGuard, MutexGuard};

/// A mutual-exclusion lock: one fiber at a time may access the value.
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
/// Unlocking hands the mutex to the fiber that has waited longest, even before that fiber runs. No
/// other fiber can lock it in between: a fiber that unlocks and locks again waits behind those that
/// came before.
///
/// # Priorities
///
/// The mutex implements priority inheritance. While fibers wait, the owner runs at the highest of
/// their priorities, if that is above its own. If the owner itself waits for another mutex, the
/// owner of that mutex inherits the priority too, and so on. The priority falls back when the owner
/// unlocks, and when the waiters stop waiting. The scheduler acts on the new priority when the
/// owner next yields or waits. Fibers of different schedulers do not inherit from each other.
///
/// With several cores, owner and waiters may be on any of them, and may move. The scheduler acts on
/// a new priority at the next scheduling point of the owner's core. (If the owner has moved at that
/// very moment, this may be the next scheduling point of the core that it has left.) Priorities are
/// computed with interrupts off, in a lock that all mutexes share, which only fibers take that wait
/// for a mutex or unlock one for which others wait. The time is proportional to the number of fibers
/// that wait along the chain.
///
/// Of all waits in this crate, only the wait for a mutex lends priority. A wait for an
/// [`RwLock`](super::RwLock), for a [`Once`](super::Once), or for the end of a fiber or of a
/// [scope](crate::scheduler::scope()) does not. Neither does a wait for a semaphore, a message or
/// an event, because it is not known which fiber will end such a wait.
///
/// # Poison
///
/// If a fiber [fails](crate::scheduler::failures) while it owns the mutex, the mutex stays locked
/// by that fiber permanently and is *poisoned*: the value may be half-changed, and the fiber may
/// have lent it to others. No fiber waits for a poisoned mutex. `lock` panics with a message that
/// names the failed fiber and the place of the failure; so do the calls of `lock` that were already
/// waiting. [`lock_until`](Self::lock_until) returns [`LockError::Poisoned`], and
/// [`try_lock`](Self::try_lock) returns `None`. [`clear_poison`](Self::clear_poison) makes the
/// mutex usable again.
///
/// # Guards
///
/// A leaked guard keeps the mutex locked permanently, even after its fiber has ended. `lock` then
/// reports a deadlock that names the ended fiber, and [`owner`](Self::owner) returns its id.
///
/// A guard belongs to the fiber that locked the mutex. On a host, safe code can carry a guard to
/// another fiber of the same thread through a thread local. Dropping the guard there, or waiting
/// with it on a [`Condvar`](super::Condvar), panics with the names of both fibers, and the mutex
/// stays locked.
#[repr(C)] // so that the address that reports name is that of the whole
pub struct Mutex<T: ?Sized> {
    raw: RawMutex,
    value: UnsafeCell<T>,
}

// SAFETY: the value is used by one fiber at a time, perhaps in another thread than before.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// Creates an unlocked mutex.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self {
            raw: RawMutex::new(),
            value: UnsafeCell::new(value),
        }
    }

    /// Consumes the mutex and returns the value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Locks the mutex, and waits until it is handed over if another fiber owns it. Cancellation
    /// does not interrupt the wait.
    ///
    /// # Panics
    ///
    /// Panics in these cases:
    /// - Waiting is not allowed, even if the mutex is free.
    /// - The fiber already owns the mutex, so that it would wait for itself.
    /// - The mutex is poisoned.
    /// - The fiber that owns the mutex has ended, or the wait would complete a deadlock, and
    ///   [`Hooks::deadlocked`](crate::scheduler::Hooks::deadlocked) does not decide otherwise.
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

    /// Locks the mutex if it is free. Returns `None` if it is locked or poisoned.
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

    /// Behaves like [`lock`](Self::lock), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// Returns [`LockError::TimedOut`] if the time has passed, and [`LockError::Poisoned`] if the
    /// mutex is poisoned.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed, and if the fiber has locked the mutex already. A wait
    /// with a deadline is no deadlock.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn lock_timeout(&self, timeout: Duration) -> Result<MutexGuard<'_, T>, LockError> {
        self.lock_until(after(timeout))
    }

    /// Behaves like [`lock`](Self::lock), but waits no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// Returns [`LockError::TimedOut`] if the deadline has passed, and [`LockError::Poisoned`] if
    /// the mutex is poisoned.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed, and if the fiber has locked the mutex already. A wait
    /// with a deadline is no deadlock.
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

    /// Makes the guard of the fiber that has locked the mutex.
    #[inline(always)]
    const fn guard(&self, owner: OwnerWord) -> MutexGuard<'_, T> {
        // SAFETY: the address of a value.
        let value = unsafe { NonNull::new_unchecked(self.value.get()) };
        // SAFETY: the fiber of `owner` has locked the mutex.
        unsafe { MutexGuard::new(&self.raw, owner, value) }
    }

    /// Returns whether the fiber that owns the mutex has failed. With several cores this is known as
    /// soon as the failure was reported.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.raw.is_poisoned()
    }

    /// Takes the mutex from its failed owner, and hands it to the first waiting fiber, if there is
    /// one. Returns false, and does nothing, if the mutex is not poisoned.
    ///
    /// # Panics
    ///
    /// Panics outside of fibers, in interrupt handlers, and with interrupts off.
    ///
    /// # Safety
    ///
    /// The value must be a valid `T`: where the fiber failed, no code was in the middle of a change
    /// that had left it invalid. Nothing may access the value through a reference that the failed
    /// fiber lent: neither a fiber of one of its scopes, nor a reference from a guard that it
    /// leaked.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    #[track_caller]
    pub unsafe fn clear_poison(&self) -> bool {
        self.raw.take_from_failed(current::owning_fiber())
    }

    /// Returns whether a fiber owns the mutex at this moment, or owned it when it failed.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        !self.raw.owner().is_nobody()
    }

    /// Returns the fiber that owns the mutex at this moment, or that ended while it owned the mutex
    /// because its guard was leaked.
    ///
    /// Five bits distinguish the successive fibers of one cell. After 32 further fibers in the
    /// cell, the owner is mistaken for a later fiber.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn owner(&self) -> Option<FiberId> {
        self.raw.owner().id()
    }

    /// Returns a mutable reference to the value. No locking is needed, because the mutex is
    /// borrowed exclusively.
    pub const fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
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
