//! State that fibers, interrupt handlers and other cores share, and access for a few instructions
//! at a time.
//!
//! - **K1**: the state is accessed only with interrupts off and the flag set, and so by one core at
//!   a time. Code that accesses it neither waits, nor wakes, nor calls foreign code.

use crate::atomic::{AtomicBool, spin_loop};
use crate::platform::interrupts;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{Ordering, compiler_fence};

/// A value with a spin lock; see the [module](self).
pub(super) struct Locked<S> {
    is_locked: AtomicBool,
    state: UnsafeCell<S>,
}

// SAFETY: K1.
unsafe impl<S: Send> Sync for Locked<S> {}

impl<S> Locked<S> {
    pub(super) const fn new(state: S) -> Self {
        Self {
            is_locked: AtomicBool::new(false),
            state: UnsafeCell::new(state),
        }
    }

    /// Calls `f` with exclusive access to the state.
    #[inline(always)]
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut S) -> R) -> R {
        let were_enabled = interrupts::are_enabled();
        interrupts::disable();
        f(&mut self.alone(were_enabled))
    }

    /// Behaves like [`with`](Self::with), where interrupts are known to be on: in a fiber that has
    /// been found to be allowed to wait.
    #[inline(always)]
    pub(super) fn with_interrupts_on<R>(&self, f: impl FnOnce(&mut S) -> R) -> R {
        f(&mut self.lock_with_interrupts_on())
    }

    /// Returns a guard with exclusive access to the state. Interrupts must be on.
    #[inline(always)]
    pub(super) fn lock_with_interrupts_on(&self) -> Alone<'_, S> {
        debug_assert!(interrupts::are_enabled(), "the caller says so");
        interrupts::disable();
        self.alone(true)
    }

    /// Acquires the lock. Interrupts are off already, and are turned on again afterwards if
    /// `were_enabled`.
    #[inline(always)]
    fn alone(&self, were_enabled: bool) -> Alone<'_, S> {
        // Only another core can hold the lock, and only for a short time.
        while self.set_flag() {
            spin_loop();
        }
        Alone {
            locked: self,
            were_enabled,
        }
    }

    /// Sets the flag, and returns whether it was set before. Interrupts are off.
    #[inline(always)]
    fn set_flag(&self) -> bool {
        if cfg!(any(target_os = "linux", feature = "smp")) {
            return self.is_locked.swap(true, Ordering::Acquire);
        }
        // There is one core, so nothing but an NMI or an exception runs between the two accesses.
        // Its handler runs to its end, so it leaves the flag as this code has found it.
        if self.is_locked.load(Ordering::Acquire) {
            return true;
        }
        self.is_locked.store(true, Ordering::Relaxed);
        // The compiler must not move an access to the state to before the store, where an NMI would
        // find the lock free.
        compiler_fence(Ordering::SeqCst);
        false
    }
}

/// A guard with exclusive access to the state.
pub(super) struct Alone<'a, S> {
    locked: &'a Locked<S>,
    were_enabled: bool,
}

impl<S> Deref for Alone<'_, S> {
    type Target = S;

    #[inline(always)]
    fn deref(&self) -> &S {
        // SAFETY: K1.
        unsafe { &*self.locked.state.get() }
    }
}

impl<S> DerefMut for Alone<'_, S> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut S {
        // SAFETY: K1.
        unsafe { &mut *self.locked.state.get() }
    }
}

impl<S> Drop for Alone<'_, S> {
    #[inline(always)]
    fn drop(&mut self) {
        self.locked.is_locked.store(false, Ordering::Release);
        if self.were_enabled {
            interrupts::enable();
        }
    }
}
