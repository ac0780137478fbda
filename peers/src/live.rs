//! Values that are live across every switch: they are changed before it and needed after it.

/// The same word, of which the compiler no longer knows where it comes from.
///
/// Without it the compiler gives a loop that counts up a second counter that counts down. That is one value more than the
/// registers which survive a switch, so it lies on the stack, and to load what was stored there before `rsp` was changed
/// takes some processors seven cycles (Zen 5): the loop would measure that, and not the switch.
#[inline(always)]
pub(crate) fn opaque(mut word: usize) -> usize {
    // SAFETY: no instruction at all.
    unsafe {
        core::arch::asm!("/* {0} */", inout(reg) word, options(pure, nomem, nostack, preserves_flags));
    }
    word
}

/// `N` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Live<const N: usize>([u64; N]);

impl<const N: usize> Live<N> {
    /// All different.
    pub(crate) fn new() -> Self {
        Self(core::array::from_fn(|index| index as u64 * 0x9e37 + 1))
    }

    /// Changes each, by the word and by its neighbour, so that none can be left out or be computed from another.
    #[inline(always)]
    pub(crate) const fn step(&mut self, word: usize) {
        let mut carried = word as u64;
        let mut index = 0;
        while index < N {
            carried ^= self.0[index].wrapping_add(carried);
            self.0[index] = carried;
            index += 1;
        }
    }

    /// One word that depends on all.
    pub(crate) fn digest(&self) -> usize {
        let mix = |sum: u64, value: &u64| sum.rotate_left(7) ^ value;
        usize::try_from(self.0.iter().fold(0, mix)).expect("a word has 64 bits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_matters_to_the_digest() {
        let mut live = Live::<12>::new();
        (0..100).for_each(|word| live.step(word));
        for index in 0..12 {
            let mut other = live;
            other.0[index] ^= 1;
            assert_ne!(other.digest(), live.digest(), "value {index}");
        }
    }
}
