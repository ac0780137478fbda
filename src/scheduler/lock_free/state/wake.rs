//! Waking a fiber that is known to be alive, by anybody and by its owner.

use super::{PARKED, POSTED, State, WAKE, Woken, after_wake, waits};
use crate::atomic::{Bits as _, IS_ONE_CORE, Ordering};

impl State {
    /// Wakes a fiber that is known to be alive.
    #[inline]
    pub(crate) fn wake(&self) -> Woken {
        let current = self.0.load(Ordering::Relaxed);
        if IS_ONE_CORE {
            // As in `post`.
            if waits(current) && self.0.put::<POSTED>(Ordering::AcqRel) {
                return Woken::Enqueue;
            }
            return self.wake_slowly();
        }
        if waits(current) && self.exchange(current, current | POSTED).is_ok() {
            return Woken::Enqueue;
        }
        self.wake_slowly()
    }

    /// Behaves like [`signal`](Self::signal) where only one core uses the word, if the fiber has that
    /// generation and waits. The caller then enqueues it. Otherwise returns false, and `signal` has to
    /// find out.
    ///
    /// Only interrupt handlers come in between, and of all that they do to a fiber that waits, only
    /// what sets POSTED matters. So the last of these instructions decides which of two was first.
    #[inline(always)]
    #[must_use]
    pub(crate) fn post<const BIT: u64>(&self, of: u32) -> bool {
        if !IS_ONE_CORE || !self.0.has_upper_half(of) || !waits(self.0.load(Ordering::Relaxed)) {
            return false;
        }
        self.0.set::<BIT>(Ordering::AcqRel);
        self.0.put::<POSTED>(Ordering::AcqRel)
    }

    /// The slow path of [`wake`](Self::wake), in which the fiber does not wait, or is changed by others.
    #[inline(never)]
    fn wake_slowly(&self) -> Woken {
        let mut current = self.0.load(Ordering::Relaxed);
        loop {
            let (next, woken) = after_wake(current);
            match self.exchange(current, next) {
                Ok(_) => return woken,
                Err(seen) => current = seen,
            }
        }
    }

    #[inline(always)]
    pub(super) fn exchange(&self, current: u64, next: u64) -> Result<u64, u64> {
        self.0
            .compare_exchange_weak(current, next, Ordering::AcqRel, Ordering::Relaxed)
    }

    /// Wakes a fiber that is known to be alive. The caller is its owner and enqueues it. Returns
    /// true if the fiber waited; it is then ready.
    #[inline]
    #[must_use]
    pub(crate) fn wake_as_owner(&self) -> bool {
        if !self.0.take::<PARKED>(Ordering::AcqRel) {
            return self.note_wake();
        }
        // From here on nobody sets the bit, so it says whether somebody was first.
        if self.0.has_any::<POSTED>() {
            return self.leave_to_inbox();
        }
        #[cfg(any(feature = "smp", loom))]
        self.await_release_if_held();
        true
    }

    /// Records that a fiber which does not wait was woken. Returns false.
    #[cold]
    #[inline(never)]
    fn note_wake(&self) -> bool {
        self.0.set::<WAKE>(Ordering::AcqRel);
        false
    }

    /// Gives a fiber that somebody else has woken first back to the inbox. Returns false.
    #[cold]
    #[inline(never)]
    fn leave_to_inbox(&self) -> bool {
        // Nobody enqueued it meanwhile: the inbox is emptied by the owner only.
        self.0.set::<PARKED>(Ordering::AcqRel);
        false
    }
}
