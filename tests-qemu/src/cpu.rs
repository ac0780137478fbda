//! What tests ask of the processor: time, flags, and numbers that look random but come from the seed.

use x86_64::registers::rflags::{self, RFlags};

use crate::command_line;

/// Returns the time-stamp counter. With `-icount shift=0` it counts instructions, exactly.
#[must_use]
pub fn cycles() -> u64 {
    // SAFETY: Every x86_64 processor has the counter, and ring 0 may always read it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Returns whether the processor has a local APIC.
#[must_use]
pub fn has_local_apic() -> bool {
    /// Leaf 1, EDX (Intel SDM, volume 2A, CPUID).
    const APIC: u32 = 1 << 9;
    core::arch::x86_64::__cpuid(1).edx & APIC != 0
}

/// Sets flags of RFLAGS.
///
/// # Safety
///
/// The direction flag must be clear whenever compiled code runs; traps need their handlers.
pub unsafe fn set_flags(flags: RFlags) {
    // SAFETY: The caller's promise.
    unsafe { rflags::write(rflags::read() | flags) };
}

/// Clears flags of RFLAGS.
///
/// # Safety
///
/// Whoever relies on the flags must not run.
pub unsafe fn clear_flags(flags: RFlags) {
    // SAFETY: The caller's promise.
    unsafe { rflags::write(rflags::read() - flags) };
}

/// Steele's, Lea's and Flood's `SplitMix64`: any seed is good, and each number costs a few instructions.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Begins with `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Begins with the seed of the command line.
    #[must_use]
    pub fn from_command_line() -> Self {
        Self::new(command_line::seed())
    }

    /// Returns the next number.
    #[inline]
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `bound`.
    ///
    /// # Panics
    ///
    /// Panics if `bound` is zero.
    #[inline]
    pub const fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below zero");
        self.next() % bound
    }
}
