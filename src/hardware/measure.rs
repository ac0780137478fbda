//! Measuring the frequency of one counter by another, on machines that may stand still at any
//! moment, and with counters that may not count at all.

use super::attempts::{Attempts, Comparison, Outcome};
use super::error::HardwareError;
use super::scale::POSSIBLE_HZ;
use core::hint::spin_loop;
use x86_64::instructions::interrupts::without_interrupts;

/// Returns the time-stamp counter, read after all earlier loads.
///
/// Without that order, a fiber that learnt something from another core could read an earlier time
/// than the other core did (Intel SDM, volume 2B, RDTSC).
#[inline]
pub(super) fn read_tsc() -> u64 {
    // SAFETY: every x86_64 processor has the instruction, which changes nothing. What may use memory is not moved across.
    unsafe { core::arch::asm!("lfence", options(nostack, preserves_flags)) };
    // SAFETY: every x86_64 processor has the counter, and ring 0 may always read it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// A counter with which the time-stamp counter is compared.
pub(super) trait Counter {
    /// The error that says that the counter stands still.
    fn stands_still(&self) -> HardwareError;

    /// Prepares the counter for some 50 ms of counting.
    fn begin(&self) {}

    /// Reads the counter.
    fn sample(&self) -> Sample;

    /// Returns what the counter has done at its end since [`begin`](Self::begin).
    fn wraps(&self) -> Wraps {
        Wraps::No
    }

    /// The number of bits that count.
    const BITS: u32;
}

/// What a counter has done at its end.
pub(super) enum Wraps {
    /// It has not come there, so samples can be compared.
    No,
    /// It has begun again from its start, nobody knows how often, and counts on.
    Some,
    /// It has stopped.
    Stopped,
}

/// A counter of known frequency.
pub(super) trait KnownCounter: Counter {
    /// The frequency in Hz.
    fn hz(&self) -> u64;
}

/// One reading of a counter, and the time-stamp counter before and after it was taken.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    pub(super) before: u64,
    /// It counts upwards, and wraps.
    pub(super) count: u64,
    pub(super) after: u64,
}

impl Sample {
    /// Takes a reading by calling `read`.
    pub(super) fn take(read: impl FnOnce() -> u64) -> Self {
        let before = read_tsc();
        let count = read();
        let after = read_tsc();
        Self {
            before,
            count,
            after,
        }
    }

    /// Returns the sharpest of a few samples, but takes no more when they have taken too long. What
    /// stopped the machine during one of them hardly stopped it during all.
    fn sharpest<C: Counter>(counter: &C, is_too_long: impl Fn(u64, u64) -> bool) -> Self {
        const SAMPLES: usize = 16;
        let first = counter.sample();
        let mut best = first;
        for _ in 1..SAMPLES {
            let next = counter.sample();
            let (ticks, counted) = next.since::<C>(&first);
            if next.width() < best.width() {
                best = next;
            }
            if is_too_long(ticks, counted) {
                break;
            }
        }
        best
    }

    /// Returns how often the time-stamp counter and the other counter ticked since `start`.
    const fn since<C: Counter>(&self, start: &Self) -> (u64, u64) {
        let counted = self.count.wrapping_sub(start.count) & (u64::MAX >> (64 - C::BITS));
        (self.at().saturating_sub(start.at()), counted)
    }

    const fn width(&self) -> u64 {
        self.after.saturating_sub(self.before)
    }

    /// The time-stamp counter when the counter was read.
    const fn at(&self) -> u64 {
        self.before + self.width() / 2
    }
}

/// How long two counters are compared, as a fraction of a second: 25 ms.
const COMPARED_PER_SECOND: u64 = 40;

/// So many ticks of the time-stamp counter without one of the other counter, and so many readings,
/// are enough to call it dead: some 10 ms, while counters tick every microsecond.
const PATIENCE_TICKS: u64 = 1 << 25;
const PATIENCE_READINGS: u64 = 1000;

/// Measures the frequency of the time-stamp counter in Hz.
pub(super) fn tsc_hz<C: KnownCounter>(counter: &C) -> Result<u64, HardwareError> {
    let length = counter.hz() / COMPARED_PER_SECOND;
    let (ticks, count) = compare(counter, |_, counted| counted >= length)?;
    frequency(ticks, counter.hz(), count)
}

/// Measures the frequency of a counter in Hz by the time-stamp counter, whose frequency is known.
pub(super) fn counter_hz(counter: &impl Counter, tsc_hz: u64) -> Result<u64, HardwareError> {
    let length = tsc_hz / COMPARED_PER_SECOND;
    let (ticks, count) = compare(counter, |ticks, _| ticks >= length)?;
    frequency(count, tsc_hz, ticks)
}

/// Returns the frequency of what ticked `ticks` times while a counter of `hz` ticked `counted`
/// times.
fn frequency(ticks: u64, hz: u64, counted: u64) -> Result<u64, HardwareError> {
    let measured = u128::from(ticks) * u128::from(hz) / u128::from(counted.max(1));
    let hz = u64::try_from(measured).unwrap_or(u64::MAX);
    if POSSIBLE_HZ.contains(&hz) {
        Ok(hz)
    } else {
        Err(HardwareError::ImpossibleFrequency { hz })
    }
}

/// Lets both counters run until `is_enough` of their ticks, and returns how often the time-stamp
/// counter ticked, and how often the other one did. [`Attempts`] says how often it is tried.
fn compare<C: Counter>(
    counter: &C,
    is_enough: impl Fn(u64, u64) -> bool,
) -> Result<(u64, u64), HardwareError> {
    let mut attempts = Attempts::new(C::BITS);
    while let Some(halvings) = attempts.next() {
        let is_enough = |ticks, counted| is_enough(ticks << halvings, counted << halvings);
        attempts.note(without_interrupts(|| attempt(counter, is_enough))?);
    }
    let best = attempts.best().ok_or(HardwareError::TooBusyToMeasure)?;
    Ok((best.ticks, best.counted))
}

/// Compares once.
fn attempt<C: Counter>(
    counter: &C,
    is_enough: impl Fn(u64, u64) -> bool,
) -> Result<Outcome, HardwareError> {
    counter.begin();
    // A machine on which a reading takes a long time may spend an eighth of the time on each end.
    let is_too_long = |ticks: u64, counted: u64| is_enough(8 * ticks, 8 * counted);
    let start = Sample::sharpest(counter, is_too_long);
    let mut readings = 0;
    let mut latest = 0;
    loop {
        let (ticks, counted) = counter.sample().since::<C>(&start);
        readings += 1;
        if counted < latest {
            break; // It has wrapped, so the machine stood still.
        }
        latest = counted;
        if readings > PATIENCE_READINGS {
            if ticks == 0 {
                return Err(HardwareError::TscDoesNotTick);
            }
            if counted == 0 && ticks > PATIENCE_TICKS {
                return Err(counter.stands_still());
            }
        }
        if is_enough(ticks, counted) && (counted > 0 || readings > PATIENCE_READINGS) {
            break;
        }
        spin_loop();
    }
    if latest == 0 {
        return Err(counter.stands_still());
    }
    let end = Sample::sharpest(counter, is_too_long);
    let (ticks, counted) = end.since::<C>(&start);
    let blur = start.width().midpoint(end.width());
    let comparison = Comparison {
        ticks,
        counted,
        blur,
    };
    Ok(match counter.wraps() {
        Wraps::No => Outcome::Compared(comparison),
        Wraps::Some => Outcome::Wrapped(comparison),
        Wraps::Stopped => Outcome::Nothing,
    })
}
