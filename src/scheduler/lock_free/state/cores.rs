//! What the state word says where a scheduler has several cores: whether the fiber stays on one, is
//! on its way to another, and how many fibers borrow from it.

#[cfg(feature = "smp")]
use super::{GENERATION_SHIFT, WAKE, generation};
use super::{PARKED, POSTED, State, waits};
use crate::atomic::Ordering;

/// The loop of the fiber has given it to another loop while it was ready. It is in the inbox there.
#[cfg(any(feature = "smp", loom))]
const MOVED: u64 = 4096;
/// The fiber stays on its core.
#[cfg(feature = "smp")]
const PINNED: u64 = 8192;
/// Somebody examines the wait of a fiber that waits. Until that is over the fiber does not run, although
/// it may be woken.
#[cfg(any(feature = "smp", loom))]
const HELD: u64 = 1 << 15;
/// The fiber has failed, and what it borrowed is not used any more once its own scopes are empty.
#[cfg(feature = "smp")]
const LEAVES_SCOPE: u64 = 1 << 14;
/// One fiber that runs and borrows from this one. The bits above it count such fibers.
#[cfg(feature = "smp")]
const LENT: u64 = 1 << 16;
#[cfg(feature = "smp")]
const ALL_LENT: u64 = 0xffff * LENT;

impl State {
    /// Behaves like `begin`. If `is_pinned`, the fiber stays on its core.
    #[cfg(feature = "smp")]
    pub(crate) fn begin_as(&self, is_ready: bool, is_pinned: bool) -> u32 {
        let next = generation(self.0.load(Ordering::Relaxed)).wrapping_add(1);
        let ready_bits = if is_ready { 0 } else { PARKED | POSTED };
        let bits = ready_bits | if is_pinned { PINNED } else { 0 };
        let word = u64::from(next) << GENERATION_SHIFT | bits;
        self.0.store(word, Ordering::Release);
        next
    }

    #[cfg(feature = "smp")]
    pub(crate) fn is_pinned(&self) -> bool {
        self.0.load(Ordering::Relaxed) & PINNED != 0
    }

    /// Returns whether the fiber was woken since it last waited.
    #[cfg(feature = "smp")]
    #[inline(always)]
    pub(crate) fn is_woken(&self) -> bool {
        self.0.load(Ordering::Relaxed) & WAKE != 0
    }

    /// Puts a ready fiber into the state of one that waits and was woken, so that it can be put into
    /// the inbox of another loop. Only the owner may call this, with a fiber that it has taken out of
    /// its ring.
    ///
    /// Both bits are set in one step: nobody else may find that the fiber waits, and enqueue it. A
    /// wake-up that the fiber has not noticed yet is kept, since WAKE is left alone.
    #[cfg(any(feature = "smp", loom))]
    pub(crate) fn begin_move(&self) {
        self.0.fetch_or(PARKED | POSTED | MOVED, Ordering::AcqRel);
    }

    /// Counts a fiber that borrows from the one of that generation. Returns false if there are too many.
    ///
    /// Nobody counts for a fiber that has ended: its scope was left behind in a
    /// [`Fiber`](crate::fiber::Fiber), and another fiber may live in its cell.
    #[cfg(feature = "smp")]
    #[must_use]
    pub(crate) fn lend(&self, of: u32) -> bool {
        let more = |word: u64| {
            let is_of_another = generation(word) != of;
            let is_countable = is_of_another || word & ALL_LENT != ALL_LENT;
            is_countable.then(|| if is_of_another { word } else { word + LENT })
        };
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    /// Counts a fiber that no longer borrows from the one of that generation. Returns whether it was
    /// the last, and that one has failed before: the caller then tells its scope.
    #[cfg(feature = "smp")]
    #[must_use]
    pub(crate) fn give_back(&self, of: u32) -> bool {
        let less = |word: u64| (generation(word) == of).then(|| word - LENT);
        let changed = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, less);
        changed.is_ok_and(|before| before & ALL_LENT == LENT && before & LEAVES_SCOPE != 0)
    }

    /// Records that the fiber has failed. Returns whether nobody borrows from it: the caller then
    /// tells its scope. Otherwise the last who does is told by [`give_back`](Self::give_back).
    #[cfg(feature = "smp")]
    #[must_use]
    pub(crate) fn leave_scope(&self) -> bool {
        self.0.fetch_or(LEAVES_SCOPE, Ordering::AcqRel) & ALL_LENT == 0
    }

    /// Keeps a fiber that waits, and was not woken yet, from running until
    /// [`release`](Self::release). What it has written before it waited is then visible, and stays.
    /// Returns false if it does not wait, or is held already. Any core may call this.
    ///
    /// A fiber that is woken meanwhile is enqueued as usual. The owner of its loop waits for the end of
    /// the examination when it makes the fiber ready.
    #[cfg(any(feature = "smp", loom))]
    #[must_use]
    pub(crate) fn hold_waiting(&self) -> bool {
        let mut current = self.0.load(Ordering::Relaxed);
        while waits(current) && current & HELD == 0 {
            match self.0.compare_exchange_weak(
                current,
                current | HELD,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(seen) => current = seen,
            }
        }
        false
    }

    /// Returns whether the fiber is held: see [`hold_waiting`](Self::hold_waiting).
    #[cfg(any(feature = "smp", loom))]
    pub(crate) fn is_held(&self) -> bool {
        self.0.load(Ordering::Relaxed) & HELD != 0
    }

    /// Ends what [`hold_waiting`](Self::hold_waiting) began.
    #[cfg(any(feature = "smp", loom))]
    pub(crate) fn release(&self) {
        self.0.fetch_and(!HELD, Ordering::Release);
    }

    /// Waits until the fiber is not held. It does not wait any more, so nobody begins to hold it
    /// meanwhile. What it writes from now on comes after what was read while it was held.
    #[cfg(any(feature = "smp", loom))]
    #[inline(always)]
    pub(super) fn await_release_if_held(&self) {
        if self.0.load(Ordering::Acquire) & HELD != 0 {
            self.await_release();
        }
    }

    #[cfg(any(feature = "smp", loom))]
    #[cold]
    #[inline(never)]
    fn await_release(&self) {
        while self.0.load(Ordering::Acquire) & HELD != 0 {
            crate::atomic::spin_loop();
        }
    }

    /// Handles what is rare when the owner makes a fiber ready that was woken. If it has moved, ends the
    /// move, and returns true: it is ready again. If it is held, waits until it is not. Nobody begins to
    /// hold it meanwhile, since it was woken.
    #[inline(always)]
    pub(super) fn end_move(&self) -> bool {
        let word = self.0.load(Ordering::Relaxed);
        if word & (MOVED | HELD) == 0 {
            return false;
        }
        if word & MOVED != 0 {
            self.0
                .fetch_and(!(PARKED | POSTED | MOVED), Ordering::Acquire);
            return true;
        }
        self.await_release();
        false
    }
}
