//! One walk: where it begins, what it finds, what it was to find, and the counts of all of them.

use gimli::X86_64;
use tests_unwind::Registers;

use super::shadow::Place;

/// Longest chain of callers, over all stacks.
pub(super) const MAX_CALLERS: usize = 96;
/// What was seen in a scene.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Instructions executed.
    pub(super) steps: u64,
    /// Walks that were compared: one for each instruction and one for each suspended fiber at it.
    pub(super) walks: u64,
    /// Longest chain of callers.
    pub(super) deepest: usize,
    /// Walks that were wrong in any frame.
    pub(super) wrong: u64,
    /// Instructions between a switch's jump and its landing.
    pub(super) in_switch: u64,
    /// Walks of a suspended fiber while its link names a resumer: the last one, who is about to cut it, or the next one.
    pub(super) linked: u64,
    /// Not walked: a suspended fiber whose link still names the switch out of line, which has returned. Who called
    /// that is about to cut the link.
    pub(super) stale: u64,
    /// Not walked: instructions of the compiler's own memory functions, which have no unwind entry.
    pub(super) in_memory_functions: u64,
    /// Not walked: the `pop` of `pushfq; pop`, by which the `x86_64` crate reads the flags.
    pub(super) reading_flags: u64,
    /// Stops at which the functions of the scene were all found.
    pub(super) stops: u64,
}

/// The callers of one walk, as the shadow knows them.
pub(super) struct Expected {
    pub(super) places: [Place; MAX_CALLERS],
    pub(super) count: usize,
}

impl Expected {
    pub(super) const NONE: Self = Self {
        places: [Place {
            ip: 0,
            sp: 0,
            rbp: 0,
            rbx: 0,
        }; MAX_CALLERS],
        count: 0,
    };

    pub(super) const fn push(&mut self, place: Place) {
        self.places[self.count] = place;
        self.count += 1;
    }

    pub(super) fn callers(&self) -> &[Place] {
        &self.places[..self.count]
    }
}

/// What is compared of a caller's registers.
pub(super) fn place(registers: &Registers) -> Place {
    let value = |register| registers.get(register).unwrap_or(0);
    Place {
        ip: value(X86_64::RA),
        sp: value(X86_64::RSP),
        rbp: value(X86_64::RBP),
        rbx: value(X86_64::RBX),
    }
}

/// Reads a word of a stack.
pub(super) fn word(address: u64) -> u64 {
    tests_unwind::read(address).unwrap_or(0)
}
