//! The error of a lock with a deadline.

use crate::scheduler::WaitError;
use core::fmt;

/// The reason why a wait for a lock ended without the lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LockError {
    /// The deadline has passed.
    TimedOut,
    /// A fiber failed while it held the lock, and holds it permanently. The value may be
    /// half-changed.
    Poisoned,
}

impl LockError {
    /// Returns the error for a wait that cancellation does not end.
    pub(super) const fn of(_deadline_has_passed: WaitError) -> Self {
        Self::TimedOut
    }
}

debug_is_display!(LockError);

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "the deadline has passed",
            Self::Poisoned => {
                "the lock is poisoned: a fiber failed while it held the lock; `clear_poison` makes the lock usable again"
            }
        })
    }
}

impl core::error::Error for LockError {}
