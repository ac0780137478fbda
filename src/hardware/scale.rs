//! Conversions between the ticks of a counter and nanoseconds, which never make a deadline early.

#[cfg(test)]
mod tests;

/// The frequency of a counter, as two factors with 32 bits behind the binary point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// Nanoseconds per tick, rounded down.
    ns_per_tick: u64,
    /// Ticks per nanosecond, the inverse of the other factor, rounded up.
    ticks_per_ns: u64,
}

/// The frequencies that a counter may have.
pub(super) const POSSIBLE_HZ: core::ops::RangeInclusive<u64> = 1_000_000..=100_000_000_000;

impl Scale {
    /// Returns the scale of a counter with this frequency, which is one of [`POSSIBLE_HZ`].
    pub(super) const fn from_hz(hz: u64) -> Self {
        let ns_per_tick = (1_000_000_000 << 32) / hz;
        let ticks_per_ns = (1_u128 << 64).div_ceil(ns_per_tick as u128);
        Self {
            ns_per_tick,
            // The first factor is at least 2^25, so that this one is at most 2^39.
            #[expect(clippy::cast_possible_truncation, reason = "see above")]
            ticks_per_ns: ticks_per_ns as u64,
        }
    }

    /// Returns the time that so many ticks take, rounded down. It saturates after 584 years.
    #[inline]
    pub(super) fn nanoseconds(self, ticks: u64) -> u64 {
        let product = u128::from(ticks) * u128::from(self.ns_per_tick);
        u64::try_from(product >> 32).unwrap_or(u64::MAX)
    }

    /// Returns the fewest ticks, or one or two more, that take at least this time.
    ///
    /// If [`nanoseconds`](Self::nanoseconds) is `n` at some tick, it is at least `n` plus this time
    /// so many ticks later. Saturates.
    #[inline]
    pub(super) fn ticks_for(self, nanoseconds: u64) -> u64 {
        // Both factors are exact up to their rounding, and the second is rounded up. So the result
        // times the first factor is at least the time, and adding a whole number commutes with
        // rounding down.
        let product = u128::from(nanoseconds) * u128::from(self.ticks_per_ns);
        u64::try_from((product + u128::from(u32::MAX)) >> 32).unwrap_or(u64::MAX)
    }
}
