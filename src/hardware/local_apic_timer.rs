//! The timer of the local APIC as the timer of a scheduler.

use super::cpuid;
use super::error::HardwareError;
use super::first_interrupt::FirstInterrupt;
use super::local_apic::{
    Destination, Ipi, LocalApic, TIMER, TIMER_CURRENT_COUNT, TIMER_DIVIDER, TIMER_INITIAL_COUNT,
    check_vector, finish_writes,
};
use super::measure::{self, Counter, Sample};
use super::scale::Scale;
use super::tsc::TscClock;
use crate::platform::{NEVER, Nanoseconds, Timer};
use spin::Once;
use x86_64::registers::model_specific::Msr;

/// `IA32_TSC_DEADLINE`.
const TSC_DEADLINE: u32 = 0x6e0;

const MASKED: u32 = 1 << 16;
const TSC_DEADLINE_MODE: u32 = 0b10 << 17;
const DIVIDE_BY_1: u32 = 0b1011;

/// The way in which the timer of a local APIC is told when to interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApicTimerMode {
    /// By the value of the time-stamp counter. It is exact and cheap, and most processors since
    /// 2011 have it.
    TscDeadline,
    /// By a count of the timer's own ticks. A deadline that is further away than 2^32 ticks, which
    /// are some seconds, takes several interrupts.
    OneShot,
}

/// The usual clock and timer of a platform: the time-stamp counter and the local APIC's timer.
///
/// It can be kept in a static, and is started at boot. The example is in the documentation of the
/// [module](super). Each core has its own timer, and all use the same clock, so one value serves
/// all cores: see [`start_on_this_core`](Self::start_on_this_core).
#[derive(Debug)]
pub struct LocalApicTimer {
    clock: TscClock,
    started: Once<Started>,
    first_interrupt: FirstInterrupt,
}

#[derive(Clone, Copy, Debug)]
struct Started {
    apic: LocalApic,
    vector: u8,
    /// The frequency of the timer's own ticks, or nothing in TSC-deadline mode.
    ticks: Option<Scale>,
}

impl LocalApicTimer {
    /// Returns a timer that is not started.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            clock: TscClock::new(),
            started: Once::new(),
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
        check_vector(vector)?;
        self.clock.check_not_started()?;
        // SAFETY: the caller's promise.
        let tsc_hz = unsafe { TscClock::find_hz() }?;
        let mode = if cpuid::has_tsc_deadline() {
            ApicTimerMode::TscDeadline
        } else {
            ApicTimerMode::OneShot
        };
        self.start_in(mode, apic, vector, tsc_hz)
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
        check_vector(vector)?;
        if mode == ApicTimerMode::TscDeadline && !cpuid::has_tsc_deadline() {
            return Err(HardwareError::NoTscDeadline);
        }
        self.clock.check_not_started()?;
        TscClock::check_hz(tsc_hz)?;
        self.start_in(mode, apic, vector, tsc_hz)
    }

    fn start_in(
        &self,
        mode: ApicTimerMode,
        apic: LocalApic,
        vector: u8,
        tsc_hz: u64,
    ) -> Result<(), HardwareError> {
        let ticks = match mode {
            ApicTimerMode::TscDeadline => None,
            ApicTimerMode::OneShot => {
                let hz = measure::counter_hz(&Countdown(apic), tsc_hz)?;
                Some(Scale::from_hz(hz))
            }
        };
        // After all that can fail, so that a failed start can be tried again.
        self.clock.start_with(tsc_hz)?;
        let started = Started {
            apic,
            vector,
            ticks,
        };
        self.started.call_once(|| started).listen();
        Ok(())
    }

    /// Starts the timer of another core, with the frequencies that [`start`](Self::start) found.
    /// The core's local APIC was enabled in the mode that was passed to `start`.
    ///
    /// # Panics
    ///
    /// Panics if the timer was not started on the first core.
    ///
    /// # Safety
    ///
    /// The first two requirements of [`start`](Self::start) apply to this core, and its time-stamp
    /// counter agrees with that of the first core.
    ///
    /// # Context
    ///
    /// Callable from: boot code, any core. Blocks: nothing.
    pub unsafe fn start_on_this_core(&self) {
        self.started().listen();
    }

    /// Returns the clock.
    #[must_use]
    pub const fn clock(&self) -> &TscClock {
        &self.clock
    }

    /// Returns the mode of the timer, or `None` if it was not started.
    #[must_use]
    pub fn mode(&self) -> Option<ApicTimerMode> {
        let started = self.started.get()?;
        Some(match started.ticks {
            None => ApicTimerMode::TscDeadline,
            Some(_) => ApicTimerMode::OneShot,
        })
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
        self.first_interrupt.has_come();
        self.started().apic.end_of_interrupt();
    }

    /// Ends the sleep of another core by the interrupt of this timer. Its handler calls
    /// `timer_interrupt`, so that the core's scheduler looks at its clock once more than necessary.
    /// The timer of that core was started before.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`LocalApic::send_ipi`].
    ///
    /// # Panics
    ///
    /// Panics if the timer was not started.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    pub fn kick(&self, apic_id: u32) -> Result<(), HardwareError> {
        let Started { apic, vector, .. } = self.started();
        // SAFETY: the vector has a handler, as the callers of `start` and `start_on_this_core` vouched.
        unsafe { apic.send_ipi(Destination::Core(apic_id), Ipi::Vector(*vector)) }
    }

    #[inline]
    fn started(&self) -> &Started {
        match self.started.get() {
            Some(started) => started,
            None => not_started(),
        }
    }
}

#[cold]
#[inline(never)]
fn not_started() -> ! {
    panic!(
        "the timer was not started: call `LocalApicTimer::start` at boot, before the scheduler runs"
    );
}

impl Default for LocalApicTimer {
    fn default() -> Self {
        Self::new()
    }
}

impl Started {
    /// Sets this core's timer to its mode and vector. It does not run yet.
    fn listen(&self) {
        let mode = if self.ticks.is_some() {
            0
        } else {
            TSC_DEADLINE_MODE
        };
        self.apic.write(TIMER_INITIAL_COUNT, 0);
        self.apic.write(TIMER_DIVIDER, DIVIDE_BY_1);
        self.apic.write(TIMER, mode | u32::from(self.vector));
        // The mode must have changed before a deadline is written (Intel SDM, volume 3, 11.5.4.1).
        self.apic.read(TIMER);
        finish_writes();
    }
}

impl Timer for LocalApicTimer {
    #[inline]
    fn now(&self) -> Nanoseconds {
        self.clock.now()
    }

    fn interrupt_at(&self, deadline: Nanoseconds) {
        let Started { apic, ticks, .. } = self.started();
        let deadline = self.first_interrupt.request(deadline, || self.clock.now());
        let Some(scale) = ticks else {
            // 0 turns the timer off, and the largest value is reached after some decades.
            let counter = if deadline == NEVER {
                0
            } else {
                self.clock.counter_at(deadline)
            };
            // SAFETY: the processor has the register, and the vector has a handler.
            unsafe { Msr::new(TSC_DEADLINE).write(counter) };
            return;
        };
        let count = if deadline == NEVER {
            0
        } else {
            let delay = deadline.saturating_sub(self.clock.now());
            u32::try_from(scale.ticks_for(delay).max(1)).unwrap_or(u32::MAX)
        };
        apic.write(TIMER_INITIAL_COUNT, count);
    }

    #[inline]
    fn deadline_before_first_interrupt(&self) -> Option<Nanoseconds> {
        self.first_interrupt.awaited()
    }
}

/// The timer as a counter that is measured. It does not interrupt meanwhile.
struct Countdown(LocalApic);

impl Counter for Countdown {
    const BITS: u32 = 32;

    fn stands_still(&self) -> HardwareError {
        HardwareError::ApicTimerDoesNotTick
    }

    fn begin(&self) {
        self.0.write(TIMER, MASKED);
        self.0.write(TIMER_DIVIDER, DIVIDE_BY_1);
        self.0.write(TIMER_INITIAL_COUNT, u32::MAX);
    }

    fn sample(&self) -> Sample {
        Sample::take(|| u64::from(u32::MAX - self.0.read(TIMER_CURRENT_COUNT)))
    }

    /// It stops at zero.
    fn has_wrapped(&self) -> bool {
        self.0.read(TIMER_CURRENT_COUNT) == 0
    }
}
