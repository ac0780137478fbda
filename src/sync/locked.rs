//! State that fibers, interrupt handlers and other cores share, for a few instructions at a time.
//!
//! - **K1**: the state is touched with interrupts off and the flag set, so by one at a time. Nobody waits, wakes, or calls
//!   foreign code in there.

use crate::platform::interrupts;
use core::cell::UnsafeCell;
use core::hint::spin_loop;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, Ordering};

/// See the [module](self).
pub(crate) struct Locked<S> {
    is_locked: AtomicBool,
    state: UnsafeCell<S>,
}

// SAFETY: K1.
unsafe impl<S: Send> Sync for Locked<S> {}

impl<S> Locked<S> {
    pub(crate) const fn new(state: S) -> Self {
        Self {
            is_locked: AtomicBool::new(false),
            state: UnsafeCell::new(state),
        }
    }

    /// Calls `f` with the state, alone.
    #[inline(always)]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut S) -> R) -> R {
        let were_enabled = interrupts::are_enabled();
        interrupts::disable();
        f(&mut self.alone(were_enabled))
    }

    /// As [`with`](Self::with), where interrupts are known to be on: in a fiber that was found to be allowed to wait.
    #[inline(always)]
    pub(crate) fn with_interrupts_on<R>(&self, f: impl FnOnce(&mut S) -> R) -> R {
        f(&mut self.lock_with_interrupts_on())
    }

    /// The state, alone, until the guard is dropped; interrupts are known to be on.
    #[inline(always)]
    pub(crate) fn lock_with_interrupts_on(&self) -> Alone<'_, S> {
        debug_assert!(interrupts::are_enabled(), "the caller says so");
        interrupts::disable();
        self.alone(true)
    }

    /// With interrupts off, which are turned on again if they were.
    #[inline(always)]
    fn alone(&self, were_enabled: bool) -> Alone<'_, S> {
        // Only another core can hold it, and not for long.
        while self.is_locked.swap(true, Ordering::Acquire) {
            spin_loop();
        }
        Alone {
            locked: self,
            were_enabled,
        }
    }
}

/// Shows that its holder is alone with the state.
pub(crate) struct Alone<'a, S> {
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
