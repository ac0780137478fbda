//! Whether a timer has ever interrupted, so that one that never does is noticed even while all
//! fibers sleep.

use crate::platform::{NEVER, Nanoseconds};
use core::sync::atomic::{AtomicU64, Ordering};

/// A deadline that stands for a timer that has interrupted.
const PROVEN: u64 = 0;

/// The first interrupt of a timer asks for itself: until it came, the timer is set to interrupt
/// soon, and the platform does not let the processor sleep.
#[derive(Debug)]
pub(super) struct FirstInterrupt {
    /// The deadline that was requested last, or [`PROVEN`].
    deadline: AtomicU64,
}

impl FirstInterrupt {
    pub(super) const fn new() -> Self {
        Self {
            deadline: AtomicU64::new(NEVER),
        }
    }

    /// Notes a requested deadline, and returns the moment at which the timer is to interrupt. Until
    /// the first interrupt that is at most 10 ms from now.
    #[inline]
    pub(super) fn request(
        &self,
        deadline: Nanoseconds,
        now: impl FnOnce() -> Nanoseconds,
    ) -> Nanoseconds {
        const SOON: Nanoseconds = 10_000_000;
        if self.deadline.load(Ordering::Relaxed) == PROVEN {
            return deadline;
        }
        // An interrupt here may prove the timer, which is then noticed once more.
        self.deadline.store(deadline.max(1), Ordering::Relaxed);
        if deadline == NEVER {
            NEVER
        } else {
            deadline.min(now().saturating_add(SOON))
        }
    }

    /// Notes that the timer has interrupted.
    #[inline]
    pub(super) fn has_come(&self) {
        self.deadline.store(PROVEN, Ordering::Relaxed);
    }

    /// Returns the deadline that was requested last, if there is one and no interrupt has come yet.
    pub(super) fn awaited(&self) -> Option<Nanoseconds> {
        let deadline = self.deadline.load(Ordering::Relaxed);
        (deadline != PROVEN && deadline != NEVER).then_some(deadline)
    }
}
