//! The PIT as the timer of a scheduler, once for each deadline or as a tick.

use super::error::HardwareError;
use super::first_interrupt::FirstInterrupt;
use super::tsc::TscClock;
use super::{pic, pit};
use crate::platform::{NEVER, Nanoseconds, Timer};
use core::sync::atomic::{AtomicU8, Ordering};
use x86_64::instructions::interrupts::without_interrupts;

/// The line of the interrupt controller at which the PIT is.
const LINE: u8 = 0;

const ONE_SHOT: u8 = 1;

/// A platform's clock and timer for kernels that use the PIC: the time-stamp counter and channel 0
/// of the programmable interval timer (PIT).
///
/// It can be kept in a static, and is started at boot by one of two functions. Prefer
/// [`start_one_shot`](Self::start_one_shot), which interrupts when a fiber has to be woken.
/// [`start_ticking`](Self::start_ticking) is for kernels that want a tick anyway. Deadlines then
/// end at the next tick.
///
/// The interrupt comes at line 0 of the PIC. Its handler does this:
///
/// ```no_run
/// # use kfiber::{hardware::PitTimer, platform::BareX86_64, scheduler::Scheduler};
/// # // SAFETY: an example.
/// # static SCHEDULER: Scheduler<BareX86_64<PitTimer>> =
/// #     Scheduler::new(unsafe { BareX86_64::new(PitTimer::new()) });
/// fn on_timer() {
///     SCHEDULER.timer_interrupt();
///     SCHEDULER.platform().timer().end_of_interrupt();
/// }
/// ```
#[derive(Debug)]
pub struct PitTimer {
    clock: TscClock,
    mode: AtomicU8,
    first_interrupt: FirstInterrupt,
}

impl PitTimer {
    /// Returns a timer that is not started.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            clock: TscClock::new(),
            mode: AtomicU8::new(0),
            first_interrupt: FirstInterrupt::new(),
        }
    }

    /// Starts the clock, and the timer with one interrupt for each deadline.
    ///
    /// The timer counts 54.9 ms at most, so it interrupts that often while a later deadline waits.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`TscClock::start`].
    ///
    /// # Safety
    ///
    /// - Nobody else uses the PIT.
    /// - [`pic::remap`] was called, and the vector of line 0 has a handler that calls
    ///   [`end_of_interrupt`](Self::end_of_interrupt). This function unmasks the line.
    ///
    /// # Context
    ///
    /// Callable from: boot code. Blocks: the core, for 25 ms.
    pub unsafe fn start_one_shot(&self) -> Result<(), HardwareError> {
        // SAFETY: the caller's promise.
        unsafe { self.clock.start() }?;
        self.mode.store(ONE_SHOT, Ordering::Relaxed);
        self.interrupt_at(NEVER);
        // SAFETY: the caller's promise.
        unsafe { pic::unmask(LINE) };
        Ok(())
    }

    /// Starts the clock, and the timer with an interrupt `ticks_per_second` times a second. The
    /// timer cannot tick more rarely than 19 times, nor more often than 100,000 times, and takes
    /// the next possible number instead.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`TscClock::start`].
    ///
    /// # Safety
    ///
    /// The requirements are those of [`start_one_shot`](Self::start_one_shot).
    ///
    /// # Context
    ///
    /// Callable from: boot code. Blocks: the core, for 25 ms.
    pub unsafe fn start_ticking(&self, ticks_per_second: u32) -> Result<(), HardwareError> {
        // SAFETY: the caller's promise.
        unsafe { self.clock.start() }?;
        let count = pit::HZ / u64::from(ticks_per_second.clamp(19, 100_000));
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        // SAFETY: the caller's promise, and interrupts are off.
        without_interrupts(|| unsafe { pit::tick_every(count) });
        // SAFETY: the caller's promise.
        unsafe { pic::unmask(LINE) };
        Ok(())
    }

    /// Returns the clock.
    #[must_use]
    pub const fn clock(&self) -> &TscClock {
        &self.clock
    }

    /// Tells the interrupt controller that the handler of the timer's interrupt is done.
    ///
    /// # Context
    ///
    /// Callable from: interrupt. Blocks: nothing.
    #[inline]
    pub fn end_of_interrupt(&self) {
        self.first_interrupt.has_come();
        pic::end_of_interrupt(LINE);
    }
}

impl Default for PitTimer {
    fn default() -> Self {
        Self::new()
    }
}

impl Timer for PitTimer {
    #[inline]
    fn now(&self) -> Nanoseconds {
        self.clock.now()
    }

    fn interrupt_at(&self, deadline: Nanoseconds) {
        let deadline = self.first_interrupt.request(deadline, || self.clock.now());
        if self.mode.load(Ordering::Relaxed) != ONE_SHOT {
            return; // it ticks
        }
        without_interrupts(|| {
            let count = (deadline != NEVER).then(|| {
                let delay = deadline.saturating_sub(self.clock.now());
                pit::count_for(delay)
            });
            // SAFETY: the promise of `start_one_shot`'s caller, and interrupts are off.
            unsafe { pit::interrupt_after(count) };
        });
    }

    #[inline]
    fn deadline_before_first_interrupt(&self) -> Option<Nanoseconds> {
        self.first_interrupt.awaited()
    }
}
