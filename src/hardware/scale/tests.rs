//! Tests of the conversions, with frequencies and times of all sizes.

use super::{POSSIBLE_HZ, Scale};

const YEAR_NS: u64 = 365 * 24 * 3600 * 1_000_000_000;

/// Numbers up to a bound, small ones as often as large ones (Steele's, Lea's and Flood's `SplitMix64`).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        let magnitude = self.next() % 64;
        (self.next() >> magnitude) % bound
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// How often a test draws its numbers. Under Miri a few times will do: what it looks for, an overflow in this arithmetic, any
/// build with overflow checks finds as well.
const DRAWS: usize = if cfg!(miri) { 200 } else { 20_000 };

/// Calls `check` with a possible frequency and a source of other numbers, often.
fn for_many_frequencies(mut check: impl FnMut(u64, &mut Numbers)) {
    let mut numbers = Numbers(1);
    for _ in 0..DRAWS {
        let hz = POSSIBLE_HZ.start() + numbers.below(POSSIBLE_HZ.end() - POSSIBLE_HZ.start() + 1);
        check(hz, &mut numbers);
    }
}

#[test]
fn ten_years_of_ticks_are_ten_years_to_a_second() {
    for hz in [
        1_193_182,
        24_000_000,
        999_999_999,
        2_712_345_678,
        5_000_000_000,
    ] {
        let scale = Scale::from_hz(hz);
        let ticks = 10 * (YEAR_NS / 1_000_000_000) * hz;
        let error = (10 * YEAR_NS).abs_diff(scale.nanoseconds(ticks));
        assert!(error < 1_000_000_000, "{hz} Hz: {error} ns");
    }
}

#[test]
fn times_saturate_instead_of_wrapping() {
    let scale = Scale::from_hz(*POSSIBLE_HZ.start());
    assert_eq!(scale.nanoseconds(u64::MAX), u64::MAX);
    let scale = Scale::from_hz(*POSSIBLE_HZ.end());
    assert_eq!(scale.ticks_for(u64::MAX), u64::MAX);
}

#[test]
fn the_clock_never_goes_back() {
    for_many_frequencies(|hz, numbers| {
        let scale = Scale::from_hz(hz);
        let (ticks, more) = (numbers.below(u64::MAX), numbers.below(1 << 40));
        assert!(scale.nanoseconds(ticks) <= scale.nanoseconds(ticks.saturating_add(more)));
    });
}

#[test]
fn no_deadline_is_early() {
    for_many_frequencies(|hz, numbers| {
        let scale = Scale::from_hz(hz);
        let (start, delay) = (numbers.below(1 << 62), numbers.below(YEAR_NS));
        let at = start.saturating_add(scale.ticks_for(delay));
        let deadline = scale.nanoseconds(start).saturating_add(delay);
        assert!(at == u64::MAX || scale.nanoseconds(at) >= deadline);
    });
}

#[test]
fn no_deadline_is_late_by_more_than_a_few_ticks() {
    for_many_frequencies(|hz, numbers| {
        let scale = Scale::from_hz(hz);
        let (start, delay) = (numbers.below(1 << 50), numbers.below(100_000_000));
        let at = start + scale.ticks_for(delay);
        let deadline = scale.nanoseconds(start) + delay;
        assert!(scale.nanoseconds(at.saturating_sub(4)) <= deadline + 1);
    });
}
