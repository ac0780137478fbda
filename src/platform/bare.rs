//! The bare machine: `sti; hlt`, and a clock and timer that the kernel supplies.

use super::{Nanoseconds, Platform};
use x86_64::instructions::interrupts;

/// A clock and a timer, whatever hardware is behind them.
pub trait Timer: Sync {
    /// Returns the time since some fixed moment. It never goes back.
    fn now(&self) -> Nanoseconds;

    /// Has this core interrupted at `deadline`, or as soon as possible if that has passed;
    /// [`NEVER`](super::NEVER) means not at all. Replaces what was asked for before. A timer that ticks anyway may do nothing.
    fn interrupt_at(&self, deadline: Nanoseconds);
}

/// The bare machine with one core, and the clock and timer of `T`.
#[derive(Debug)]
pub struct BareX86_64<T> {
    timer: T,
}

impl<T: Timer> BareX86_64<T> {
    /// Makes a platform of a timer.
    ///
    /// # Safety
    ///
    /// Interrupt handlers of this kernel that turn interrupts on again call nothing of this crate afterwards but what is
    /// marked as callable from an interrupt (**P1**).
    pub const unsafe fn new(timer: T) -> Self {
        Self { timer }
    }

    /// The timer.
    pub const fn timer(&self) -> &T {
        &self.timer
    }
}

// SAFETY: `sti` lets no interrupt in before the next instruction has begun, so one that is pending, or comes, ends the
// `hlt` (Intel SDM, volume 2B, STI). P1 is the promise of `new`'s caller.
unsafe impl<T: Timer> Platform for BareX86_64<T> {
    #[inline]
    fn now(&self) -> Nanoseconds {
        self.timer.now()
    }

    #[inline]
    fn set_timer(&self, deadline: Nanoseconds) {
        self.timer.interrupt_at(deadline);
    }

    fn idle(&self) {
        interrupts::enable_and_hlt();
    }
}
