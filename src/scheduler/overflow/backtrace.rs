//! The walk along rbp through one stack, for reports: it reads that stack, and nothing else, whatever the words there say.

use crate::stack::StackBounds;

/// No report is longer than this.
const MOST_FRAMES: usize = 32;

/// Return addresses, from the innermost out: those of an [`Overflow`](super::Overflow) or a
/// [`Hog`](crate::scheduler::Hog).
#[derive(Clone, Debug)]
pub struct Backtrace {
    stack: StackBounds,
    rbp: u64,
    left: usize,
}

impl Backtrace {
    pub(in crate::scheduler) const fn new(stack: StackBounds, rbp: u64) -> Self {
        Self {
            stack,
            rbp,
            left: MOST_FRAMES,
        }
    }
}

impl Iterator for Backtrace {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let record = usize::try_from(self.rbp).ok()?;
        let is_ours = self.stack.contains(record)
            && self.stack.contains(record.wrapping_add(15))
            && record.is_multiple_of(8);
        self.left = self.left.checked_sub(1).filter(|_| is_ours)?;
        let offset = record - self.stack.bottom().addr();
        let words: *const u64 = self.stack.bottom().wrapping_add(offset).cast();
        // SAFETY: aligned, and within the stack of a cell, which stays readable for good.
        let [rbp, rip] = unsafe { words.cast::<[u64; 2]>().read_volatile() };
        if rip == 0 {
            return None;
        }
        // Callers are further up; a chain that goes down again is none.
        self.rbp = if rbp > self.rbp { rbp } else { 0 };
        Some(rip)
    }
}
