//! State that fibers, interrupt handlers and other cores share, for a few instructions at a time.
//!
//! - **K1**: the state is touched with interrupts off and the flag set, so by one at a time. Nobody waits, wakes, or calls
//!   foreign code in there.

use crate::platform::interrupts;
use core::cell::UnsafeCell;
use core::hint::spin_loop;
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
        let result = self.alone(f);
        if were_enabled {
            interrupts::enable();
        }
        result
    }

    /// As [`with`](Self::with), where interrupts are known to be on: in a fiber that was found to be allowed to wait.
    #[inline(always)]
    pub(crate) fn with_interrupts_on<R>(&self, f: impl FnOnce(&mut S) -> R) -> R {
        debug_assert!(interrupts::are_enabled(), "the caller says so");
        interrupts::disable();
        let result = self.alone(f);
        interrupts::enable();
        result
    }

    /// With interrupts off.
    #[inline(always)]
    fn alone<R>(&self, f: impl FnOnce(&mut S) -> R) -> R {
        // Only another core can hold it, and not for long.
        while self.is_locked.swap(true, Ordering::Acquire) {
            spin_loop();
        }
        // SAFETY: K1.
        let result = f(unsafe { &mut *self.state.get() });
        self.is_locked.store(false, Ordering::Release);
        result
    }
}
