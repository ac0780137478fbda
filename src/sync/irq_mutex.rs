//! The interrupt-safe spin lock: a value that fibers, interrupt handlers and other cores access for
//! a few instructions at a time.

use crate::atomic::spin_loop;
use crate::platform::interrupts;
use crate::scheduler::cpu::{current, forbid};
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicUsize, Ordering};

const FREE: usize = 0;

/// A spin lock that turns interrupts off, so that one core at a time accesses the value. Other
/// cores spin meanwhile.
///
/// ```
/// use kfiber::sync::IrqMutex;
/// static TICKS: IrqMutex<u64> = IrqMutex::new(0);
/// *TICKS.lock() += 1; // also in the timer's handler
/// ```
///
/// While a guard lives, every call that may wait panics, even if it need not wait, and names the
/// place where the guard was created. Guards must be dropped in the reverse order of their
/// creation; any other order panics.
pub struct IrqMutex<T: ?Sized> {
    /// The core that holds the lock.
    holder: AtomicUsize,
    value: UnsafeCell<T>,
}

// SAFETY: the value is used by one core at a time.
unsafe impl<T: ?Sized + Send> Send for IrqMutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for IrqMutex<T> {}

/// The guard of a locked [`IrqMutex`]. The mutex is unlocked when the guard is dropped.
#[must_use = "dropping the guard unlocks at once"]
pub struct IrqMutexGuard<'a, T: ?Sized> {
    mutex: &'a IrqMutex<T>,
    were_enabled: bool,
    could_wait: bool,
    not_send: PhantomData<*mut ()>,
}

// SAFETY: a shared guard gives shared access to the value.
unsafe impl<T: ?Sized + Sync> Sync for IrqMutexGuard<'_, T> {}

impl<T> IrqMutex<T> {
    /// Creates an unlocked mutex.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self {
            holder: AtomicUsize::new(FREE),
            value: UnsafeCell::new(value),
        }
    }

    /// Consumes the mutex and returns the value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> IrqMutex<T> {
    /// Turns interrupts off and locks the mutex. Spins while another core holds it.
    ///
    /// # Panics
    ///
    /// Panics if this core already holds the lock, because it would spin forever.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: the core.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> IrqMutexGuard<'_, T> {
        let were_enabled = interrupts::are_enabled();
        interrupts::disable();
        let me = current::this_core();
        while let Err(holder) =
            self.holder
                .compare_exchange_weak(FREE, me, Ordering::Acquire, Ordering::Relaxed)
        {
            if holder == me {
                locked_twice(were_enabled);
            }
            spin_loop();
        }
        self.guard(were_enabled)
    }

    /// Locks the mutex if it is free. Returns `None` otherwise.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[inline]
    #[track_caller]
    pub fn try_lock(&self) -> Option<IrqMutexGuard<'_, T>> {
        let were_enabled = interrupts::are_enabled();
        interrupts::disable();
        let me = current::this_core();
        let locked = self
            .holder
            .compare_exchange(FREE, me, Ordering::Acquire, Ordering::Relaxed);
        if locked.is_err() {
            if were_enabled {
                interrupts::enable();
            }
            return None;
        }
        Some(self.guard(were_enabled))
    }

    /// Returns whether the calling core holds the lock. A `true` stays true until the core itself
    /// unlocks.
    ///
    /// It is for code that may be called with the lock held, and then must not lock again. With
    /// interrupts on, the answer is `false` on the bare machine, since a guard keeps them off.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[inline]
    #[must_use]
    pub fn is_held_by_this_core(&self) -> bool {
        self.holder.load(Ordering::Relaxed) == current::this_core()
    }

    #[inline(always)]
    #[track_caller]
    fn guard(&self, were_enabled: bool) -> IrqMutexGuard<'_, T> {
        IrqMutexGuard {
            mutex: self,
            were_enabled,
            could_wait: forbid::forbid_waiting(),
            not_send: PhantomData,
        }
    }

    /// Returns a mutable reference to the value. No locking is needed, because the mutex is
    /// borrowed exclusively.
    pub const fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn locked_twice(were_enabled: bool) -> ! {
    if were_enabled {
        interrupts::enable();
    }
    panic!(
        "an `IrqMutex` was locked by the core that holds it already: drop the first guard before"
    );
}

#[cold]
#[inline(never)]
#[track_caller]
fn wrong_order() -> ! {
    panic!(
        "guards of `IrqMutex`es were not dropped in the reverse order of their making, so interrupts were on too early: drop the newest guard first"
    );
}

impl<T: ?Sized> Deref for IrqMutexGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the guard shows that this core has it.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for IrqMutexGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for IrqMutexGuard<'_, T> {
    #[inline]
    #[track_caller]
    fn drop(&mut self) {
        let are_enabled = interrupts::are_enabled();
        self.mutex.holder.store(FREE, Ordering::Release);
        if are_enabled {
            wrong_order();
        }
        if self.could_wait {
            current::allow_waiting();
        }
        if self.were_enabled {
            interrupts::enable();
        }
    }
}

impl<T: Default> Default for IrqMutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized> fmt::Debug for IrqMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IrqMutex")
            .field("is_locked", &(self.holder.load(Ordering::Relaxed) != FREE))
            .finish_non_exhaustive()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for IrqMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
