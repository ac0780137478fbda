//! Why a lock was not had.

use crate::scheduler::WaitError;
use core::fmt;

/// Why waiting for a lock ended without it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LockError {
    /// The deadline has passed.
    TimedOut,
    /// A fiber has failed while it had it, and has it for good: the value may be half-changed.
    Poisoned,
}

impl LockError {
    /// Of a wait that no cancellation ends.
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
                "poisoned: a fiber has failed while it had it; see `clear_poison` for how to put it back to use"
            }
        })
    }
}

impl core::error::Error for LockError {}
