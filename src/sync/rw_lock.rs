//! The reader-writer lock: many fibers may read the value, or one may write it, while others wait
//! in line.

mod forgotten;
mod guards;
mod raw;

use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::after;
use crate::scheduler::cpu::current;
use crate::scheduler::task::owner::OwnerWord;
use crate::sync::LockError;
use core::cell::UnsafeCell;
use core::fmt;
use core::ptr::NonNull;
use core::time::Duration;
use raw::{Access, RawRwLock};

pub use guards::{
    MappedRwLockReadGuard, MappedRwLockWriteGuard, RwLockReadGuard, RwLockWriteGuard,
};

/// A reader-writer lock: many fibers may read the value at the same time, or one fiber may write
/// it.
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
/// The lock is first come, first served: a reader that arrives after a waiting writer waits behind
/// that writer. So neither readers nor writers starve. A fiber that already reads must therefore
/// not read again: it can wait behind a writer that waits for the fiber's first guard. This is a
/// deadlock, and so is writing while the fiber reads. The fiber that completes the deadlock panics,
/// unless [`Hooks::deadlocked`](crate::scheduler::Hooks::deadlocked) decides otherwise. The lock
/// records up to four of its readers, and only counts the others. A deadlock through a reader that
/// is only counted is not noticed before all fibers wait.
///
/// # Poison
///
/// The lock is poisoned if a fiber [fails](crate::scheduler::failures) while it writes, as with a
/// [`Mutex`](super::Mutex#poison). `read` and `write` then panic, and the methods with a deadline
/// return [`LockError::Poisoned`]. A fiber that fails while it reads keeps its read access
/// permanently: other fibers may still read, but no fiber can write again.
///
/// # Priorities
///
/// A wait for this lock lends no priority, neither to the writer nor to the readers, of whom there
/// can be many. A holder of low priority therefore has to wait for all runnable fibers of medium
/// priority. If fibers of different priorities share the lock, either raise every holder to the
/// highest of their priorities while it holds the lock (the ceiling rule), or use a
/// [`Mutex`](super::Mutex).
#[repr(C)] // so that the address that reports name is that of the whole
pub struct RwLock<T: ?Sized> {
    raw: RawRwLock,
    value: UnsafeCell<T>,
}

// SAFETY: the value is used by one fiber at a time, or shared by several, perhaps in other threads
// than before.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

impl<T> RwLock<T> {
    /// Creates an unlocked lock.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self {
            raw: RawRwLock::new(),
            value: UnsafeCell::new(value),
        }
    }

    /// Consumes the lock and returns the value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Locks for reading, and waits until read access is handed over if needed. Cancellation does
    /// not interrupt the wait.
    ///
    /// # Panics
    ///
    /// Panics in these cases:
    /// - Waiting is not allowed, even if the lock is free.
    /// - The fiber has locked it for writing.
    /// - The lock is poisoned.
    /// - A fiber that holds the lock has ended, or the wait would complete a deadlock, and
    ///   [`Hooks::deadlocked`](crate::scheduler::Hooks::deadlocked) does not decide otherwise.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        match self.read_until(NEVER) {
            Ok(guard) => guard,
            Err(_) => panic!(
                "a reader-writer lock is poisoned: a fiber failed while it wrote; see `RwLock::clear_poison`"
            ),
        }
    }

    /// Behaves like [`read`](Self::read), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// Returns [`LockError::TimedOut`] if the time has passed, and [`LockError::Poisoned`] if the
    /// lock is poisoned.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed, and if the fiber has locked it for writing already. A
    /// wait with a deadline is no deadlock.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn read_timeout(&self, timeout: Duration) -> Result<RwLockReadGuard<'_, T>, LockError> {
        self.read_until(after(timeout))
    }

    /// Behaves like [`read`](Self::read), but waits no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// Returns [`LockError::TimedOut`] if the deadline has passed, and [`LockError::Poisoned`] if
    /// the lock is poisoned.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed, and if the fiber has locked it for writing already. A
    /// wait with a deadline is no deadlock.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn read_until(&self, deadline: Nanoseconds) -> Result<RwLockReadGuard<'_, T>, LockError> {
        let fiber = current::waiting_fiber();
        let owner = self.raw.lock(Access::Read, fiber, deadline)?;
        // SAFETY: it is locked for reading.
        Ok(unsafe { RwLockReadGuard::new(&self.raw, owner, self.value()) })
    }

    /// Locks for reading if no fiber writes or waits. Returns `None` otherwise.
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
        // SAFETY: it is locked for reading.
        is_locked.then(|| unsafe { RwLockReadGuard::new(&self.raw, owner, self.value()) })
    }

    /// Locks for writing, and waits until write access is handed over if needed. Cancellation does
    /// not interrupt the wait.
    ///
    /// # Panics
    ///
    /// Panics in these cases:
    /// - Waiting is not allowed, even if the lock is free.
    /// - The fiber has already locked it for writing.
    /// - The lock is poisoned.
    /// - A fiber that holds the lock has ended, or the wait would complete a deadlock, and
    ///   [`Hooks::deadlocked`](crate::scheduler::Hooks::deadlocked) does not decide otherwise.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        match self.write_until(NEVER) {
            Ok(guard) => guard,
            Err(_) => panic!(
                "a reader-writer lock is poisoned: a fiber failed while it wrote; see `RwLock::clear_poison`"
            ),
        }
    }

    /// Behaves like [`write`](Self::write), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// Returns [`LockError::TimedOut`] if the time has passed, and [`LockError::Poisoned`] if the
    /// lock is poisoned.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed, and if the fiber has locked it for writing already. A
    /// wait with a deadline is no deadlock.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn write_timeout(&self, timeout: Duration) -> Result<RwLockWriteGuard<'_, T>, LockError> {
        self.write_until(after(timeout))
    }

    /// Behaves like [`write`](Self::write), but waits no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// Returns [`LockError::TimedOut`] if the deadline has passed, and [`LockError::Poisoned`] if
    /// the lock is poisoned.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed, and if the fiber has locked it for writing already. A
    /// wait with a deadline is no deadlock.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn write_until(&self, deadline: Nanoseconds) -> Result<RwLockWriteGuard<'_, T>, LockError> {
        let fiber = current::waiting_fiber();
        let owner = self.raw.lock(Access::Write, fiber, deadline)?;
        // SAFETY: it is locked for writing.
        Ok(unsafe { RwLockWriteGuard::new(&self.raw, owner, self.value()) })
    }

    /// Locks for writing if no fiber holds the lock or waits for it. Returns `None` otherwise.
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
        // SAFETY: it is locked for writing.
        is_locked.then(|| unsafe { RwLockWriteGuard::new(&self.raw, owner, self.value()) })
    }

    const fn value(&self) -> NonNull<T> {
        // SAFETY: the address of a value.
        unsafe { NonNull::new_unchecked(self.value.get()) }
    }

    /// Returns whether fibers read or write at this moment, or a fiber wrote when it failed.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.raw.is_locked()
    }

    /// Returns whether a fiber writes at this moment, or wrote when it failed.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn is_locked_exclusive(&self) -> bool {
        !self.raw.writer().is_nobody()
    }

    /// Returns whether the fiber that writes has failed.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.raw.is_poisoned()
    }

    /// Takes the lock from the fiber that failed while it wrote, and hands it to the waiting
    /// fibers. Returns false, and does nothing, if the lock is not poisoned.
    ///
    /// # Safety
    ///
    /// The requirements of [`Mutex::clear_poison`](super::Mutex::clear_poison) apply.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    pub unsafe fn clear_poison(&self) -> bool {
        self.raw.take_from_failed()
    }

    /// Returns a mutable reference to the value. No locking is needed, because the lock is borrowed
    /// exclusively.
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
