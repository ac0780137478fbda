//! A load of fibers that take very different times, and how a person would deal it out to two cores.

use super::work::{MICROSECOND, work};
use crate::random::Random;

/// Fibers of the load.
pub(crate) const FIBERS: usize = 1000;
/// The longest of them, in slices of about a microsecond.
const LONGEST: u32 = 20;

/// One fiber of the load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length {
    /// It computes for so many times a microsecond, and yields after each.
    pub(crate) slices: u32,
    /// Where it goes if a person deals them out.
    pub(crate) core: usize,
}

/// The load, in the order in which it is spawned. The longest goes first to the core with less to do: for so many fibers
/// no other way is noticeably better.
pub(crate) fn lengths(seed: u64) -> Vec<Length> {
    let slices = (1..=LONGEST).cycle().take(FIBERS);
    let mut lengths: Vec<_> = slices.map(|slices| Length { slices, core: 0 }).collect();
    lengths.sort_by_key(|length| core::cmp::Reverse(length.slices));
    let mut loads = [0, 0];
    for length in &mut lengths {
        length.core = usize::from(loads[1] < loads[0]);
        loads[length.core] += length.slices;
    }
    Random::new(seed).shuffle(&mut lengths);
    lengths
}

/// Slices of the whole load.
pub(crate) fn slices(lengths: &[Length]) -> usize {
    lengths.iter().map(|length| length.slices as usize).sum()
}

/// Compares what the fibers have computed.
pub(crate) fn check(sum: u64, lengths: &[Length]) {
    let result =
        |slices: u32| (0..slices).fold(u64::from(slices), |number, _| work(number, MICROSECOND));
    static RESULTS: std::sync::OnceLock<Vec<u64>> = std::sync::OnceLock::new();
    let results = RESULTS.get_or_init(|| (0..=LONGEST).map(result).collect());
    let expected = lengths.iter().map(|length| results[length.slices as usize]);
    assert_eq!(
        sum,
        expected.fold(0, u64::wrapping_add),
        "a slice was lost or done twice"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_cores_get_the_same_by_hand() {
        let lengths = lengths(1);
        let on_first: Vec<_> = lengths.iter().copied().filter(|it| it.core == 0).collect();
        assert_eq!(slices(&on_first) * 2, slices(&lengths));
    }
}
