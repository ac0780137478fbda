//! The platform of the bare machine: `sti; hlt`, with a clock and a timer that the kernel supplies.

use super::{Nanoseconds, Platform};
use crate::instructions;
use core::hint::spin_loop;

/// A clock and a timer of any hardware.
pub trait Timer: Sync {
    /// Returns the time since some fixed moment. It never goes back.
    fn now(&self) -> Nanoseconds;

    /// Requests an interrupt on this core at `deadline`, or as soon as possible if the deadline has
    /// passed.
    ///
    /// [`NEVER`](super::NEVER) requests none. Each call replaces the previous request. A timer that
    /// ticks periodically may do nothing.
    fn interrupt_at(&self, deadline: Nanoseconds);

    /// Returns the deadline that was requested, if there is one and the timer has never interrupted
    /// so far. The processor then does not sleep, so that a timer whose interrupt is masked is
    /// reported by [`LateTimer`](crate::scheduler::LateTimer).
    ///
    /// A timer that does not know returns `None`, as this method does unless it is overridden.
    #[inline]
    fn deadline_before_first_interrupt(&self) -> Option<Nanoseconds> {
        None
    }
}

/// The platform of the bare machine with one core and the clock and timer of `T`.
///
/// For several cores there is [`ApicCores`](crate::hardware::ApicCores).
#[derive(Debug)]
pub struct BareX86_64<T> {
    timer: T,
}

impl<T: Timer> BareX86_64<T> {
    /// Returns a platform that uses this timer.
    ///
    /// # Safety
    ///
    /// An interrupt handler of this kernel that turns interrupts on again calls no function of this
    /// crate while they are on (**P1**).
    ///
    /// Without the feature `smp`, no other core calls functions of this crate (**P2**).
    pub const unsafe fn new(timer: T) -> Self {
        Self { timer }
    }

    /// Returns the timer.
    pub const fn timer(&self) -> &T {
        &self.timer
    }
}

/// Turns interrupts on and sleeps until one comes, unless the timer of this core has never
/// interrupted, so that it might not end the sleep.
///
/// No interrupt is lost: `sti` lets none in before the next instruction has begun, so one that is
/// pending, or comes, ends the `hlt` (Intel SDM, volume 2B, STI).
#[inline]
pub(crate) fn sleep_until_interrupt(timer: &impl Timer, late_limit: Nanoseconds) {
    match timer.deadline_before_first_interrupt() {
        None => instructions::enable_and_halt(),
        Some(deadline) => wait_for_first_interrupt(timer, deadline, late_limit),
    }
}

/// Waits without sleeping, since nobody knows whether the timer would end a sleep.
///
/// Returns at once while the deadline is far away. Otherwise, waits for the timer until it counts as
/// late, so that the scheduler, which looks at the clock next, finds out that it is.
#[cold]
fn wait_for_first_interrupt(timer: &impl Timer, deadline: Nanoseconds, late_limit: Nanoseconds) {
    /// Longer than the scheduler takes until it looks at the clock.
    const MARGIN: Nanoseconds = 1_000_000;
    instructions::enable();
    let late = deadline.saturating_add(late_limit);
    loop {
        spin_loop();
        let now = timer.now();
        let is_awaited = timer.deadline_before_first_interrupt().is_some();
        if now.saturating_add(MARGIN) < deadline || now > late || !is_awaited {
            return;
        }
    }
}

// SAFETY: `sleep_until_interrupt` loses no interrupt, and its wait for a timer's first one ends by itself. P1 and P2
// are the promises of `new`'s caller.
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
        sleep_until_interrupt(&self.timer, self.late_timer_limit());
    }
}
