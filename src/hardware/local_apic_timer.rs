//! The timer of the local APIC as the timer of a scheduler with one core.

use super::apic_timers::{ApicTimerMode, ApicTimers, CoreTimer};
use super::error::HardwareError;
use super::first_interrupt::FirstInterrupt;
use super::local_apic::LocalApic;
use super::tsc::TscClock;
use crate::platform::{Nanoseconds, Timer};

/// The usual clock and timer of a platform: the time-stamp counter and the local APIC's timer.
///
/// It can be kept in a static, and is started at boot. The example is in the documentation of the
/// [module](super). A scheduler with several cores has [`ApicCores`](super::ApicCores) instead.
#[derive(Debug)]
pub struct LocalApicTimer {
    timers: ApicTimers,
    first_interrupt: FirstInterrupt,
}

impl LocalApicTimer {
    /// Returns a timer that is not started.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            timers: ApicTimers::new(),
            first_interrupt: FirstInterrupt::new(),
        }
    }

    /// Starts the clock, and the timer of this core in the best mode that it has.
    ///
    /// The frequency of the time-stamp counter is that which CPUID states or, if it states none,
    /// that which is measured with the PIT. Without TSC-deadline mode, that of the timer is measured
    /// as well. Each measurement takes 25 ms.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`TscClock::start`] and of [`start_with`](Self::start_with).
    ///
    /// # Safety
    ///
    /// - The vector has a handler that calls
    ///   [`timer_interrupt`](crate::scheduler::Scheduler::timer_interrupt) and then
    ///   [`end_of_interrupt`](Self::end_of_interrupt).
    /// - Nobody else uses the timer of the local APIC, and the APIC is enabled on this core.
    /// - Nobody else uses channel 2 of the PIT or I/O port 0x61 during the call.
    ///
    /// # Context
    ///
    /// Callable from: boot code. Blocks: the core, for up to 50 ms.
    pub unsafe fn start(&self, apic: LocalApic, vector: u8) -> Result<(), HardwareError> {
        // SAFETY: the caller's promise.
        unsafe { self.timers.start(apic, vector) }
    }

    /// Behaves as [`start`](Self::start), but takes the mode and the frequency of the time-stamp
    /// counter in Hz from the caller, who knows that it is constant.
    ///
    /// # Errors
    ///
    /// - [`HardwareError::NoTscDeadline`] for a mode that the processor does not have.
    /// - [`HardwareError::ApicTimerDoesNotTick`] for a timer that does not count.
    /// - [`HardwareError::ReservedVector`] for a vector below 16.
    /// - The errors of [`TscClock::start_with`], and [`HardwareError::TooBusyToMeasure`].
    ///
    /// # Safety
    ///
    /// The first two requirements of [`start`](Self::start) apply.
    ///
    /// # Context
    ///
    /// Callable from: boot code. Blocks: the core, for up to 25 ms.
    pub unsafe fn start_with(
        &self,
        apic: LocalApic,
        vector: u8,
        mode: ApicTimerMode,
        tsc_hz: u64,
    ) -> Result<(), HardwareError> {
        // SAFETY: the caller's promise.
        unsafe { self.timers.start_with(apic, vector, mode, tsc_hz) }
    }

    /// Returns the clock.
    #[must_use]
    pub const fn clock(&self) -> &TscClock {
        self.timers.clock()
    }

    /// Returns the mode of the timer, or `None` if it was not started.
    #[must_use]
    pub fn mode(&self) -> Option<ApicTimerMode> {
        self.timers.mode()
    }

    /// Tells the local APIC that the handler of the timer's interrupt is done.
    ///
    /// # Panics
    ///
    /// Panics if the timer was not started.
    ///
    /// # Context
    ///
    /// Callable from: interrupt. Blocks: nothing.
    #[inline]
    pub fn end_of_interrupt(&self) {
        self.of_core().end_of_interrupt();
    }

    #[inline]
    const fn of_core(&self) -> CoreTimer<'_> {
        CoreTimer {
            timers: &self.timers,
            first_interrupt: &self.first_interrupt,
        }
    }
}

impl Default for LocalApicTimer {
    fn default() -> Self {
        Self::new()
    }
}

impl Timer for LocalApicTimer {
    #[inline]
    fn now(&self) -> Nanoseconds {
        self.timers.clock().now()
    }

    #[inline]
    fn interrupt_at(&self, deadline: Nanoseconds) {
        self.of_core().interrupt_at(deadline);
    }

    #[inline]
    fn deadline_before_first_interrupt(&self) -> Option<Nanoseconds> {
        self.of_core().deadline_before_first_interrupt()
    }
}
