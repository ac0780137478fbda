//! The platform of a Linux process, with virtual time and with interrupts that are function calls.

extern crate std;

use super::{NEVER, Nanoseconds, Platform};
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};

std::thread_local! {
    static ARE_ENABLED: Cell<bool> = const { Cell::new(true) };
}

/// Returns `true` if this thread is outside of [`Host::interrupt`].
#[inline]
pub(crate) fn are_enabled() -> bool {
    ARE_ENABLED.get()
}

#[inline]
pub(crate) fn disable() {
    ARE_ENABLED.set(false);
}

#[inline]
pub(crate) fn enable() {
    ARE_ENABLED.set(true);
}

/// The platform of host tests.
///
/// The clock stands still while fibers run, and jumps to the next deadline when all of them wait.
/// Each run therefore gives the same result. If there is no deadline, the platform really waits
/// until another thread wakes a fiber.
///
/// ```
/// use kfiber::platform::{Host, Platform};
///
/// let host = Host::new();
/// host.advance(5);
/// assert_eq!(host.now(), 5);
/// ```
#[derive(Debug)]
pub struct Host {
    now: AtomicU64,
    deadline: AtomicU64,
    is_kicked: Mutex<bool>,
    kicked: Condvar,
}

impl Host {
    /// Returns a platform whose clock is at zero.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            now: AtomicU64::new(0),
            deadline: AtomicU64::new(NEVER),
            is_kicked: Mutex::new(false),
            kicked: Condvar::new(),
        }
    }

    /// Advances the clock, for instance to simulate work of a fiber.
    pub fn advance(&self, nanoseconds: Nanoseconds) {
        self.now.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Runs `handler` as an interrupt handler runs, with interrupts off.
    pub fn interrupt<R>(handler: impl FnOnce() -> R) -> R {
        /// Ends the interrupt, also when the handler unwinds.
        struct Return(bool);
        impl Drop for Return {
            fn drop(&mut self) {
                ARE_ENABLED.set(self.0);
            }
        }

        let _return = Return(ARE_ENABLED.replace(false));
        handler()
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: what plays an interrupt runs as a call, so none comes while `idle` is called; another thread that wakes a fiber
// kicks after it wrote to the inbox, and a kick is remembered. P1: there are no other handlers.
unsafe impl Platform for Host {
    fn now(&self) -> Nanoseconds {
        self.now.load(Ordering::Relaxed)
    }

    fn set_timer(&self, deadline: Nanoseconds) {
        self.deadline.store(deadline, Ordering::Relaxed);
    }

    fn idle(&self) {
        let mut is_kicked = self.is_kicked.lock().expect("no holder panics");
        let deadline = self.deadline.load(Ordering::Relaxed);
        if deadline == NEVER {
            is_kicked = self
                .kicked
                .wait_while(is_kicked, |is_kicked| !*is_kicked)
                .expect("no holder panics");
        } else if !*is_kicked {
            self.now.fetch_max(deadline, Ordering::Relaxed);
        }
        *is_kicked = false;
        enable();
    }

    fn late_timer_limit(&self) -> Nanoseconds {
        NEVER // time jumps, and nothing interrupts
    }

    fn kick(&self) {
        *self.is_kicked.lock().expect("no holder panics") = true;
        self.kicked.notify_one();
    }
}
