//! Which loops of a scheduler run, and which of them sleep, in one word.
//!
//! ```text
//!    63    62                  32  31  30                   0
//!   ├────┬───────────────────────┬───┬───────────────────────┤
//!   │LOOK│ loop i is in `run`    │   │ loop i sleeps         │
//!   └────┴───────────────────────┴───┴───────────────────────┘
//!
//!   a loop that finds nothing          whoever posts to it
//!   1. set its bit: it sleeps          1. put the fiber into the inbox
//!   ── full barrier ──                 ── full barrier ──
//!   2. look at the inbox again         2. is the bit set? then clear it, and kick the core
//! ```
//!
//! Each side writes first and reads then, so at least one of them sees the other: without the
//! barriers a wake-up is lost, on x86 too. Only the one that clears the bit kicks, and nobody kicks
//! a core that is awake.
//!
//! Since all bits are in one word, the loop that sets the last of them knows that no fiber runs
//! anywhere, and that nothing is in the inbox of a sleeping loop. It may then *look*: it sets LOOK,
//! which keeps the others from touching a fiber until it is cleared. A loop that is woken meanwhile
//! waits for that.
//!
//! - **T1**: LOOK is set only when all loops that run sleep, and a loop that has slept, or begins to
//!   run, does not use its queues before LOOK is clear. While it is set, whoever set it therefore is
//!   the owner of all the loops.

use crate::atomic::{AtomicU64, Ordering, full_barrier, spin_loop};

/// The largest number of loops.
pub(crate) const MOST: usize = 31;

const SLEEPING: u64 = (1 << MOST) - 1;
const RUNNING_AT: usize = 32;
const LOOK: u64 = 1 << 63;

/// The word; see the [module](self).
pub(crate) struct Roster(AtomicU64);

const fn sleeping(index: usize) -> u64 {
    1 << index
}

const fn running(index: usize) -> u64 {
    1 << (RUNNING_AT + index)
}

const fn do_all_sleep(word: u64) -> bool {
    word & SLEEPING == word >> RUNNING_AT & SLEEPING
}

impl Roster {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Records that a loop runs.
    pub(crate) fn enter(&self, index: usize) {
        self.0.fetch_or(running(index), Ordering::AcqRel);
        self.await_end_of_look();
    }

    /// Records that a loop does not run any more. If all that still run sleep, none of them was the
    /// last one to fall asleep, so none knows. Then one of them is returned, which the caller wakes.
    #[must_use]
    pub(crate) fn leave(&self, index: usize) -> Option<usize> {
        #[cfg(not(kfiber_steps))]
        let bits = running(index) | sleeping(index);
        #[cfg(kfiber_steps)]
        let bits = if crate::atomic::is_planted(crate::atomic::Mistake::NotWithdrawn) {
            running(index)
        } else {
            running(index) | sleeping(index)
        };
        let word = self.0.fetch_and(!bits, Ordering::SeqCst) & !bits;
        let sleepers = word & SLEEPING;
        (sleepers != 0 && do_all_sleep(word)).then_some(sleepers.trailing_zeros() as usize)
    }

    /// Records that a loop is about to sleep. Returns whether all loops that run now sleep. The
    /// caller then looks at its inbox once more.
    #[must_use]
    pub(crate) fn sleep(&self, index: usize) -> bool {
        let bit = sleeping(index);
        let before = self.0.fetch_or(bit, Ordering::SeqCst);
        full_barrier();
        do_all_sleep(before | bit)
    }

    /// Records that a sleeping loop has something to do. Returns whether it slept, and nobody else
    /// has woken it: the caller then kicks its core. The caller has put something into the inbox.
    #[must_use]
    #[inline]
    pub(crate) fn wake(&self, index: usize) -> bool {
        let bit = sleeping(index);
        full_barrier();
        self.0.load(Ordering::SeqCst) & bit != 0
            && self.0.fetch_and(!bit, Ordering::AcqRel) & bit != 0
    }

    /// Records that a loop is awake, which calls this itself. Afterwards it is the owner of its
    /// queues again.
    pub(crate) fn awake(&self, index: usize) {
        self.0.fetch_and(!sleeping(index), Ordering::AcqRel);
        self.await_end_of_look();
    }

    /// Returns whether a loop sleeps.
    pub(crate) fn does_sleep(&self, index: usize) -> bool {
        self.0.load(Ordering::SeqCst) & sleeping(index) != 0
    }

    /// Returns whether a loop is in `run`.
    pub(crate) fn does_run(&self, index: usize) -> bool {
        self.0.load(Ordering::Relaxed) & running(index) != 0
    }

    /// Returns the set of the loops that sleep, a bit for each.
    #[inline(always)]
    pub(crate) fn sleepers(&self) -> u64 {
        self.0.load(Ordering::Relaxed) & SLEEPING
    }

    /// Returns the set of the loops that run.
    #[cfg(not(loom))]
    pub(crate) fn runners(&self) -> u64 {
        self.0.load(Ordering::Relaxed) >> RUNNING_AT & SLEEPING
    }

    /// Returns the set of the loops that run and do not sleep.
    pub(crate) fn awake_ones(&self) -> u64 {
        let word = self.0.load(Ordering::Relaxed);
        word >> RUNNING_AT & !word & SLEEPING
    }

    /// Makes the caller the owner of all loops, if all that run sleep. Returns false otherwise, or
    /// if somebody looks already.
    #[must_use]
    pub(crate) fn begin_look(&self) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        while do_all_sleep(word) && word & LOOK == 0 {
            match self.0.compare_exchange_weak(
                word,
                word | LOOK,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(seen) => word = seen,
            }
        }
        false
    }

    /// Ends what [`begin_look`](Self::begin_look) began.
    pub(crate) fn end_look(&self) {
        self.0.fetch_and(!LOOK, Ordering::Release);
    }

    fn await_end_of_look(&self) {
        while self.0.load(Ordering::Acquire) & LOOK != 0 {
            spin_loop();
        }
    }
}
