//! The ticks of embassy, and the nanoseconds of kfiber. A deadline is rounded up and the present
//! time down, so that no timer ends early.

use embassy_time_driver::TICK_HZ;
use kfiber::platform::{NEVER, Nanoseconds};

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// Returns how many ticks have passed at this time.
pub(crate) const fn passed_at(now: Nanoseconds) -> u64 {
    at_rate(now, TICK_HZ)
}

/// Returns the first time at which this many ticks have passed, or [`NEVER`] if there is none.
pub(crate) const fn deadline_of(ticks: u64) -> Nanoseconds {
    deadline_at_rate(ticks, TICK_HZ)
}

const fn at_rate(now: Nanoseconds, hertz: u64) -> u64 {
    if NANOSECONDS_PER_SECOND.is_multiple_of(hertz) {
        return now / (NANOSECONDS_PER_SECOND / hertz);
    }
    saturate(now as u128 * hertz as u128 / NANOSECONDS_PER_SECOND as u128)
}

const fn deadline_at_rate(ticks: u64, hertz: u64) -> Nanoseconds {
    if ticks == u64::MAX {
        return NEVER;
    }
    saturate((ticks as u128 * NANOSECONDS_PER_SECOND as u128).div_ceil(hertz as u128))
}

#[expect(clippy::cast_possible_truncation, reason = "it was compared before")]
const fn saturate(wide: u128) -> u64 {
    if wide > u64::MAX as u128 {
        u64::MAX
    } else {
        wide as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rates that divide a second into whole nanoseconds, and others, also above one tick a nanosecond.
    const RATES: [u64; 7] = [
        1,
        1_000,
        32_768,
        1_000_000,
        3_000_000,
        1_000_000_000,
        4_000_000_000,
    ];

    #[test]
    fn a_deadline_is_the_first_time_at_which_its_ticks_have_passed() {
        for hertz in RATES {
            for ticks in (0..5_000).chain([1 << 30, (1 << 32) + 1]) {
                let deadline = deadline_at_rate(ticks, hertz);
                assert!(at_rate(deadline, hertz) >= ticks, "{ticks} at {hertz}");
                if deadline > 0 {
                    assert!(at_rate(deadline - 1, hertz) < ticks, "{ticks} at {hertz}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_said_is_never() {
        for hertz in RATES {
            assert_eq!(deadline_at_rate(u64::MAX, hertz), NEVER);
        }
        assert_eq!(deadline_at_rate(u64::MAX - 1, 1), NEVER);
        assert_eq!(at_rate(NEVER, 4_000_000_000), u64::MAX);
    }
}
