//! The clock of all timers here: the time-stamp counter.

use super::error::HardwareError;
use super::hpet::Hpet;
use super::measure::read_tsc;
use super::scale::{POSSIBLE_HZ, Scale};
use super::{cpuid, measure, pit};
use crate::atomic::SetOnce;
use crate::platform::Nanoseconds;

/// The time-stamp counter as a clock that counts nanoseconds since it was started.
///
/// It can be kept in a static, and is started at boot. Reading it takes the instructions `lfence`
/// and `rdtsc`, and a multiplication.
///
/// On several cores it is one clock for all of them if their counters were reset at the same time,
/// as firmware does with processors whose counter is invariant.
#[derive(Debug)]
pub struct TscClock {
    started: SetOnce<Started>,
}

#[derive(Clone, Copy, Debug)]
struct Started {
    /// The counter at the time 0.
    start: u64,
    scale: Scale,
    hz: u64,
}

/// The device with which the frequency of the time-stamp counter is measured.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Reference<'a> {
    /// Channel 2 of the programmable interval timer, which drives the speaker of a PC.
    Pit,
    /// The counter of an HPET.
    Hpet(&'a Hpet),
}

impl TscClock {
    /// Returns a clock that is not started.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            started: SetOnce::new(),
        }
    }

    /// Starts the clock at 0, with the frequency that CPUID states or, if it states none, with that
    /// which is measured for 25 ms with the PIT.
    ///
    /// # Errors
    ///
    /// Returns [`HardwareError::TscVaries`] if the frequency is not constant, by CPUID, on a machine
    /// that is not virtual; [`HardwareError::AlreadyStarted`]; and the errors of
    /// [`measure_hz`](Self::measure_hz).
    ///
    /// # Safety
    ///
    /// Nobody else uses channel 2 of the PIT or I/O port 0x61 during the call.
    ///
    /// # Context
    ///
    /// Callable from: boot code, fiber, scheduler. Blocks: the core, for 25 ms.
    pub unsafe fn start(&self) -> Result<(), HardwareError> {
        self.check_not_started()?;
        // SAFETY: the caller's promise.
        let hz = unsafe { Self::find_hz() }?;
        self.start_with(hz)
    }

    /// Returns the frequency in Hz of a counter whose frequency is constant.
    ///
    /// # Safety
    ///
    /// The requirements are those of [`start`](Self::start).
    pub(super) unsafe fn find_hz() -> Result<u64, HardwareError> {
        if !cpuid::is_tsc_invariant() {
            return Err(HardwareError::TscVaries);
        }
        match Self::hz_from_cpuid() {
            Some(hz) => Ok(hz),
            // SAFETY: the caller's promise.
            None => unsafe { Self::measure_hz(Reference::Pit) },
        }
    }

    /// Checks that the clock was not started, before anything is measured.
    pub(super) fn check_not_started(&self) -> Result<(), HardwareError> {
        match self.hz() {
            None => Ok(()),
            Some(_) => Err(HardwareError::AlreadyStarted),
        }
    }

    pub(super) fn check_hz(hz: u64) -> Result<(), HardwareError> {
        if POSSIBLE_HZ.contains(&hz) {
            Ok(())
        } else {
            Err(HardwareError::ImpossibleFrequency { hz })
        }
    }

    /// Starts the clock at 0 with a known frequency in Hz. It is taken to be constant, whatever
    /// CPUID says.
    ///
    /// # Errors
    ///
    /// Returns [`HardwareError::ImpossibleFrequency`] for a frequency outside of 1 MHz to 100 GHz,
    /// and [`HardwareError::AlreadyStarted`].
    ///
    /// # Context
    ///
    /// Callable from: boot code, fiber, scheduler. Blocks: nothing.
    pub fn start_with(&self, hz: u64) -> Result<(), HardwareError> {
        Self::check_hz(hz)?;
        let (start, scale) = (read_tsc(), Scale::from_hz(hz));
        if self.started.set(Started { start, scale, hz }) {
            Ok(())
        } else {
            Err(HardwareError::AlreadyStarted)
        }
    }

    /// Returns the frequency of the time-stamp counter in Hz, if CPUID states it exactly: leaf 15h
    /// with the frequency of the crystal, or leaf `4000_0010h` of `VMware` and KVM.
    ///
    /// # Context
    ///
    /// Callable from: boot code, fiber, interrupt, scheduler. Blocks: nothing.
    #[must_use]
    pub fn hz_from_cpuid() -> Option<u64> {
        cpuid::tsc_hz()
    }

    /// Measures the frequency of the time-stamp counter in Hz, with interrupts off.
    ///
    /// It takes 25 ms, and up to some seconds on a virtual machine that is stopped again and again.
    ///
    /// # Errors
    ///
    /// Returns [`HardwareError::PitDoesNotTick`], [`HardwareError::NoHpetAt`] or
    /// [`HardwareError::TscDoesNotTick`] if one of the two counters stands still, and
    /// [`HardwareError::TooBusyToMeasure`] if the machine was stopped, for instance by the host of
    /// a virtual machine, in each of forty attempts.
    ///
    /// # Safety
    ///
    /// With [`Reference::Pit`], nobody else uses channel 2 of the PIT or I/O port 0x61 during the
    /// call.
    ///
    /// # Context
    ///
    /// Callable from: boot code, fiber, scheduler. Blocks: the core, until it has measured.
    pub unsafe fn measure_hz(reference: Reference<'_>) -> Result<u64, HardwareError> {
        match reference {
            // SAFETY: the caller's promise.
            Reference::Pit => measure::tsc_hz(&unsafe { pit::SpeakerChannel::borrow() }),
            Reference::Hpet(hpet) => measure::tsc_hz(hpet),
        }
    }

    /// Returns the frequency in Hz with which the clock was started, or `None` before that.
    ///
    /// # Context
    ///
    /// Callable from: boot code, fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn hz(&self) -> Option<u64> {
        self.started.get().map(|started| started.hz)
    }

    /// Returns the nanoseconds since the clock was started.
    ///
    /// # Panics
    ///
    /// Panics if the clock was not started.
    ///
    /// # Context
    ///
    /// Callable from: boot code, fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Nanoseconds {
        let started = self.started();
        // Another core's counter may be a little behind.
        started
            .scale
            .nanoseconds(read_tsc().saturating_sub(started.start))
    }

    /// Returns the value of the counter at a moment, or a few ticks later. A moment in the past
    /// gives the present one.
    #[inline]
    pub(super) fn counter_at(&self, deadline: Nanoseconds) -> u64 {
        let Started { start, scale, .. } = *self.started();
        let counter = read_tsc();
        let now = scale.nanoseconds(counter.saturating_sub(start));
        counter
            .max(start)
            .saturating_add(scale.ticks_for(deadline.saturating_sub(now)))
    }

    #[inline]
    fn started(&self) -> &Started {
        match self.started.get() {
            Some(started) => started,
            None => not_started(),
        }
    }
}

impl Default for TscClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cold]
#[inline(never)]
fn not_started() -> ! {
    panic!(
        "the clock was not started: call a function of the timer whose name begins with `start` at boot, before the \
         scheduler runs"
    );
}
