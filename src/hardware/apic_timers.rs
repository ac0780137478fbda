//! The clock and the timers of all cores: one time-stamp counter, and a timer in each local APIC,
//! with the same frequency, mode and vector.

use super::cpuid;
use super::error::HardwareError;
use super::first_interrupt::FirstInterrupt;
use super::local_apic::{
    LocalApic, TIMER, TIMER_CURRENT_COUNT, TIMER_DIVIDER, TIMER_INITIAL_COUNT, check_vector,
    finish_writes,
};
use super::measure::{self, Counter, Sample, Wraps};
use super::scale::Scale;
use super::tsc::TscClock;
use crate::atomic::SetOnce;
use crate::platform::{NEVER, Nanoseconds, Timer};
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

/// The clock, and what is the same for the timers of all cores.
#[derive(Debug)]
pub(super) struct ApicTimers {
    clock: TscClock,
    started: SetOnce<Started>,
}

#[derive(Clone, Copy, Debug)]
struct Started {
    apic: LocalApic,
    vector: u8,
    /// The frequency of the timer's own ticks, or nothing in TSC-deadline mode.
    ticks: Option<Scale>,
}

impl ApicTimers {
    pub(super) const fn new() -> Self {
        Self {
            clock: TscClock::new(),
            started: SetOnce::new(),
        }
    }

    /// Starts the clock, and this core's timer in the best mode that it has.
    ///
    /// # Safety
    ///
    /// Nobody else uses channel 2 of the PIT or I/O port 0x61 during the call, and the requirements
    /// of [`start_with`](Self::start_with) apply.
    pub(super) unsafe fn start(&self, apic: LocalApic, vector: u8) -> Result<(), HardwareError> {
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

    /// Starts the clock and this core's timer with what the caller knows.
    ///
    /// # Safety
    ///
    /// The vector has a handler that calls `timer_interrupt` of the scheduler and ends the
    /// interrupt. Nobody else uses the timer, and the APIC is enabled on this core.
    pub(super) unsafe fn start_with(
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
        self.started.set(started);
        self.started().listen();
        Ok(())
    }

    /// Sets this core's timer to the mode and the vector with which the first one was started.
    ///
    /// # Safety
    ///
    /// The requirements of [`start_with`](Self::start_with) apply to this core.
    pub(super) unsafe fn listen(&self) {
        self.started().listen();
    }

    pub(super) const fn clock(&self) -> &TscClock {
        &self.clock
    }

    /// Returns the mode of the timers, or `None` before the start.
    pub(super) fn mode(&self) -> Option<ApicTimerMode> {
        let started = self.started.get()?;
        Some(match started.ticks {
            None => ApicTimerMode::TscDeadline,
            Some(_) => ApicTimerMode::OneShot,
        })
    }

    /// Returns the local APICs. Panics before the start.
    #[inline]
    pub(super) fn apic(&self) -> LocalApic {
        self.started().apic
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
        "the timer was not started: call `LocalApicTimer::start` at boot, or `ApicCores::start` on the first core, before \
         the scheduler runs"
    );
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

/// The timer of the core on which it is used.
pub(super) struct CoreTimer<'a> {
    pub(super) timers: &'a ApicTimers,
    /// Whether the timer of this core has interrupted.
    pub(super) first_interrupt: &'a FirstInterrupt,
}

impl CoreTimer<'_> {
    /// Tells the local APIC that the handler of the timer's interrupt is done.
    #[inline]
    pub(super) fn end_of_interrupt(&self) {
        self.first_interrupt.has_come();
        self.timers.apic().end_of_interrupt();
    }
}

impl Timer for CoreTimer<'_> {
    #[inline]
    fn now(&self) -> Nanoseconds {
        self.timers.clock.now()
    }

    fn interrupt_at(&self, deadline: Nanoseconds) {
        let clock = &self.timers.clock;
        let Started { apic, ticks, .. } = self.timers.started();
        let deadline = self.first_interrupt.request(deadline, || clock.now());
        let Some(scale) = ticks else {
            // 0 turns the timer off, and the largest value is reached after some decades.
            let counter = if deadline == NEVER {
                0
            } else {
                clock.counter_at(deadline)
            };
            // SAFETY: the processor has the register, and the vector has a handler.
            unsafe { Msr::new(TSC_DEADLINE).write(counter) };
            return;
        };
        let count = if deadline == NEVER {
            0
        } else {
            let delay = deadline.saturating_sub(clock.now());
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

    fn wraps(&self) -> Wraps {
        if self.0.read(TIMER_CURRENT_COUNT) == 0 {
            Wraps::Stopped
        } else {
            Wraps::No
        }
    }
}
