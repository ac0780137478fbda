//! A platform with a bug, for the sweep to find.

use core::arch::asm;

use kfiber::{
    platform::{Nanoseconds, Platform, Timer},
    scheduler::Scheduler,
};

use super::ExactTimer;

/// Turns interrupts on and sleeps, but not as one step.
pub(super) struct Leaky;

// SAFETY: it breaks its promise about `idle`: a wake waits for the next interrupt, and that one always comes here.
unsafe impl Platform for Leaky {
    fn now(&self) -> Nanoseconds {
        ExactTimer.now()
    }

    fn set_timer(&self, deadline: Nanoseconds) {
        ExactTimer.interrupt_at(deadline);
    }

    fn idle(&self) {
        // SAFETY: the machine is ready for interrupts. (They may come after the `nop`, not before.)
        unsafe { asm!("sti", "nop", "hlt") };
    }
}

pub(super) static LEAKY: Scheduler<Leaky> = Scheduler::new(Leaky);
