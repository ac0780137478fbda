//! The reader-writer lock: a value that many fibers may read, or one may write, while others wait in line.

mod guards;
mod raw;

use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::after;
use crate::scheduler::cpu::current;
use crate::scheduler::task::owner::OwnerWord;
use crate::sync::LockError;
use core::cell::UnsafeCell;
use core::fmt;
use core::time::Duration;
use raw::{Access, RawRwLock};

pub use guards::{RwLockReadGuard, RwLockWriteGuard};

/// A value that many fibers may read at a time, or one may write.
///
/// ```
/// use kfiber::{platform::Host, scheduler::{FiberPool, Scheduler}, sync::RwLock};
///
/// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
/// static CELLS: FiberPool<65536, 1> = FiberPool::new();
/// static ROUTES: RwLock<[u8; 2]> = RwLock::new([0; 2]);
///
/// let fiber = SCHEDULER.spawn(&CELLS, || {
///     ROUTES.write()[0] = 7;
///     let (one, other) = (ROUTES.read(), ROUTES.read());
///     one[0] + other[1]
/// })?;
/// SCHEDULER.run();
/// assert_eq!(fiber.try_join().unwrap(), 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// First come, first served: a reader that comes after a writer that waits, waits behind it. So
/// neither starves, and a fiber that reads while it reads already can wait for itself, through a
/// writer in between; take one guard. That is a deadlock, and so is writing while one reads: the
/// fiber that closes it panics, unless [`Hooks::deadlocked`](crate::scheduler::Hooks::deadlocked)
/// says otherwise. The lock knows four of its readers by name, and counts the rest: what would wait
/// for a fifth that never ends is not noticed before all fibers wait.
///
/// # Poison
///
/// As with a [`Mutex`](super::Mutex#poison), if a fiber [fails](crate::scheduler::failures) while it writes: `read` and `write`
/// panic then, and the others say that it is poisoned. A fiber that fails while it reads goes on reading for good: others may
/// read, and nobody can write again.
///
/// # Priorities
///
/// A wait for it does not lend the priority of the one who waits, neither to a writer nor to
/// readers, of whom there can be many: a holder of a low priority waits for all fibers of those in
/// between. Where fibers of different priorities share one, either give all that lock it the
/// highest priority among them while they hold it (the ceiling rule), or use a
/// [`Mutex`](super::Mutex).
#[repr(C)] // so that the address that reports name is that of the whole
pub struct RwLock<T: ?Sized> {
    raw: RawRwLock,
    value: UnsafeCell<T>,
}

// SAFETY: the value is used by one fiber at a time, or shared by several, perhaps in other threads than before.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

impl<T> RwLock<T> {
    /// Returns an unlocked lock.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self {
            raw: RawRwLock::new(),
            value: UnsafeCell::new(value),
        }
    }

    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Locks it for reading, or waits until that is handed over. Cancelling the fiber does not disturb that.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed, also if it need not wait; if the fiber has locked it
    /// for writing; and if it is poisoned. Panics if a fiber that has it has ended, and if the wait
    /// would close a circle of fibers that wait for each other, unless
    /// [`Hooks::deadlocked`](crate::scheduler::Hooks::deadlocked) says otherwise.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        match self.read_until(NEVER) {
            Ok(guard) => guard,
            Err(_) => panic!("a reader-writer lock is poisoned: a fiber failed while it wrote"),
        }
    }

    /// As [`read`](Self::read), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`LockError::TimedOut`], [`LockError::Poisoned`].
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn read_timeout(&self, timeout: Duration) -> Result<RwLockReadGuard<'_, T>, LockError> {
        self.read_until(after(timeout))
    }

    /// As [`read`](Self::read), but waits no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// [`LockError::TimedOut`], [`LockError::Poisoned`].
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn read_until(&self, deadline: Nanoseconds) -> Result<RwLockReadGuard<'_, T>, LockError> {
        let fiber = current::waiting_fiber();
        let owner = self.raw.lock(Access::Read, fiber, deadline)?;
        Ok(RwLockReadGuard::new(self, owner))
    }

    /// Locks it for reading if nobody writes or waits, and returns nothing otherwise.
    ///
    /// # Panics
    ///
    /// Panics outside of fibers, in interrupt handlers, and with interrupts off.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    #[track_caller]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        // SAFETY: it runs.
        let owner = unsafe { OwnerWord::of(current::owning_fiber()) };
        let is_locked = self.raw.try_lock(Access::Read, owner);
        is_locked.then(|| RwLockReadGuard::new(self, owner))
    }

    /// Locks it for writing, or waits until that is handed over. Cancelling the fiber does not disturb that.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed, also if it need not wait; if the fiber has locked it
    /// for writing already; and if it is poisoned. Panics if a fiber that has it has ended, and if
    /// the wait would close a circle of fibers that wait for each other, unless
    /// [`Hooks::deadlocked`](crate::scheduler::Hooks::deadlocked) says otherwise.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        match self.write_until(NEVER) {
            Ok(guard) => guard,
            Err(_) => panic!("a reader-writer lock is poisoned: a fiber failed while it wrote"),
        }
    }

    /// As [`write`](Self::write), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`LockError::TimedOut`], [`LockError::Poisoned`].
    ///
    /// # Panics
    ///
    /// As [`write`](Self::write).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn write_timeout(&self, timeout: Duration) -> Result<RwLockWriteGuard<'_, T>, LockError> {
        self.write_until(after(timeout))
    }

    /// As [`write`](Self::write), but waits no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// [`LockError::TimedOut`], [`LockError::Poisoned`].
    ///
    /// # Panics
    ///
    /// As [`write`](Self::write).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn write_until(&self, deadline: Nanoseconds) -> Result<RwLockWriteGuard<'_, T>, LockError> {
        let fiber = current::waiting_fiber();
        let owner = self.raw.lock(Access::Write, fiber, deadline)?;
        Ok(RwLockWriteGuard::new(self, owner))
    }

    /// Locks it for writing if nobody has it or waits, and returns nothing otherwise.
    ///
    /// # Panics
    ///
    /// Panics outside of fibers, in interrupt handlers, and with interrupts off.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    #[track_caller]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        // SAFETY: it runs.
        let owner = unsafe { OwnerWord::of(current::owning_fiber()) };
        let is_locked = self.raw.try_lock(Access::Write, owner);
        is_locked.then(|| RwLockWriteGuard::new(self, owner))
    }

    /// Says whether the fiber that writes has failed.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.raw.is_poisoned()
    }

    /// Takes it from the fiber that has failed while it wrote, and hands it to those that wait. Returns false, and does nothing,
    /// if it is not poisoned.
    ///
    /// # Safety
    ///
    /// As for [`Mutex::clear_poison`](super::Mutex::clear_poison).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    pub unsafe fn clear_poison(&self) -> bool {
        self.raw.take_from_failed()
    }

    /// The value, which is nobody else's.
    pub const fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLock").finish_non_exhaustive()
    }
}
