//! How often and for how long two counters are compared, and what is taken from that, on a machine
//! that may stand still at any moment.
//!
//! A virtual machine whose host has much else to do runs for a few milliseconds, and then stands
//! still for so long that a counter of 16 bits wraps. Each attempt that meets this halves the time
//! of the next one, until one fits between two such moments. What it finds is rough, but says how
//! often the counter wrapped in a longer attempt, which is exact.

#[cfg(test)]
mod tests;

/// So many attempts are made.
const MOST: u32 = 40;
/// So many attempts whose result is known are enough, however rough it is.
const MOST_COMPARED: u32 = 10;
/// The time of an attempt is halved so often at most: 25 ms become 0.8 ms.
const MOST_HALVINGS: u32 = 5;
/// The moments of the readings are known to this part of the time between them, or it is tried
/// again: 0.024 %.
const SHARP_ENOUGH: u64 = 4096;

/// How often each counter ticked in one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    /// The ticks of the time-stamp counter.
    pub(super) ticks: u64,
    /// The ticks of the other counter.
    pub(super) counted: u64,
    /// By how many ticks of the time-stamp counter the first number may be wrong.
    pub(super) blur: u64,
}

impl Comparison {
    const fn is_sharp(&self) -> bool {
        self.blur < self.ticks / SHARP_ENOUGH
    }

    fn is_sharper_than(&self, other: &Self) -> bool {
        u128::from(self.blur) * u128::from(other.ticks)
            < u128::from(other.blur) * u128::from(self.ticks)
    }

    /// Adds the ticks of all wraps of a counter with so many bits, if `rough` says clearly enough
    /// how many they are.
    fn unwrapped(self, rough: &Self, bits: u32) -> Option<Self> {
        let period = 1_u128 << bits;
        let in_counts =
            |ticks: u128| ticks * u128::from(rough.counted) / u128::from(rough.ticks.max(1));
        let expected = in_counts(self.ticks.into());
        // One tick of the counter at each end of `rough` is unknown, too.
        let wrong_by = u128::from(rough.blur) * u128::from(self.ticks)
            / u128::from(rough.ticks.max(1))
            + u128::from(self.blur);
        let wrong_by = in_counts(wrong_by) + 2 * expected / u128::from(rough.counted.max(1));
        let counted = u128::from(self.counted);
        let wraps = (expected + period / 2).checked_sub(counted)? / period;
        let counted = counted + wraps * period;
        let is_clear = wrong_by < period / 4 && expected.abs_diff(counted) < period / 4;
        let counted = u64::try_from(counted).ok().filter(|_| is_clear)?;
        Some(Self { counted, ..self })
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Compared(Comparison),
    /// The counter has wrapped at least once, and the ticks of its wraps are missing.
    Wrapped(Comparison),
    /// The counter has stopped at its end.
    Nothing,
}

/// All attempts of one measurement.
pub(super) struct Attempts {
    /// The bits of the counter.
    bits: u32,
    made: u32,
    /// The attempts of which no result is known.
    failed: u32,
    best: Option<Comparison>,
}

impl Attempts {
    pub(super) const fn new(bits: u32) -> Self {
        Self {
            bits,
            made: 0,
            failed: 0,
            best: None,
        }
    }

    /// Returns how often the time of the next attempt is halved, or `None` if no more is needed.
    pub(super) fn next(&mut self) -> Option<u32> {
        let is_over = self.made == MOST
            || self.made - self.failed == MOST_COMPARED
            || self.best.is_some_and(|best| best.is_sharp());
        self.made += 1;
        (!is_over).then(|| match self.best {
            None => self.failed.min(MOST_HALVINGS),
            Some(_) => 0,
        })
    }

    /// Notes how the attempt ended.
    pub(super) fn note(&mut self, outcome: Outcome) {
        let comparison = match outcome {
            Outcome::Compared(comparison) => Some(comparison),
            Outcome::Wrapped(comparison) => self
                .best
                .and_then(|rough| comparison.unwrapped(&rough, self.bits)),
            Outcome::Nothing => None,
        };
        let Some(comparison) = comparison else {
            self.failed += 1;
            return;
        };
        if self
            .best
            .is_none_or(|best| comparison.is_sharper_than(&best))
        {
            self.best = Some(comparison);
        }
    }

    /// Returns the sharpest result, if there is one.
    pub(super) const fn best(&self) -> Option<Comparison> {
        self.best
    }
}
