//! The error of a join, and the reason why a fiber was not joined.

use super::JoinHandle;
use crate::scheduler::report::failure::Failure;
use core::fmt;

/// The error of `join`: a fiber was not joined. It gives the handle back.
pub struct JoinError<T> {
    /// The handle, unchanged.
    pub handle: JoinHandle<T>,
    /// The reason why the fiber was not joined.
    pub kind: JoinErrorKind,
}

/// The reason why a fiber was not joined.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinErrorKind {
    /// The fiber has not ended yet.
    NotFinished,
    /// The deadline has passed.
    TimedOut,
    /// The fiber that called `join` was cancelled.
    Cancelled,
    /// The fiber is the caller, or it waits for the caller's end or for a lock that the caller
    /// holds, perhaps through others, so that neither would ever end. (A cycle through a fiber of
    /// another scheduler, or through [`block_on`](crate::scheduler::block_on()), which may wait for
    /// something else too, is not noticed.) If one of the others waits with a deadline there is no
    /// deadlock; the caller's own deadline makes no difference.
    Deadlock,
    /// The fiber failed: it has no result, its cell is lost, and asking again returns the same.
    Failed(&'static Failure),
}

debug_is_display!(JoinErrorKind);

impl fmt::Display for JoinErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFinished => "the fiber has not ended yet: `join` waits for it",
            Self::TimedOut => "the deadline passed before the fiber ended",
            Self::Cancelled => "the fiber that waits was cancelled",
            Self::Deadlock => {
                "the fiber waits for the caller, or is the caller: neither would ever end"
            }
            Self::Failed(failure) => return write!(f, "the fiber {failure}"),
        })
    }
}

debug_is_display!(<T> JoinError<T>);

impl<T> fmt::Display for JoinError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl<T> core::error::Error for JoinError<T> {}
