//! What the root of a run loop is asked for. Its state word says it, since root never waits and nobody
//! cancels it.
//!
//! Root in its own inbox is the signal. While one of the bits is set, root is in the inbox, or about
//! to be, so that it is there only once.

#[cfg(any(feature = "smp", loom))]
use super::CANCELLED;
use super::{NOTIFIED, State, TOKEN};
use crate::atomic::Ordering;

/// Another core has changed the levels of fibers of this loop.
#[cfg(any(feature = "smp", loom))]
const LEVELS: u64 = CANCELLED;

#[cfg(not(any(feature = "smp", loom)))]
const REQUESTS: u64 = NOTIFIED | TOKEN;
#[cfg(any(feature = "smp", loom))]
const REQUESTS: u64 = NOTIFIED | TOKEN | LEVELS;

/// What the root of a run loop was asked for.
#[cfg(any(feature = "smp", loom))]
pub(crate) struct Requests {
    /// A check of the sleep queue.
    pub(crate) timer: bool,
    /// A look at the levels that were changed.
    pub(crate) levels: bool,
}

impl State {
    /// Requests a check of the sleep queue. Returns whether root must be put into the inbox.
    #[must_use]
    pub(crate) fn request_timer_check(&self) -> bool {
        self.0.fetch_or(NOTIFIED, Ordering::AcqRel) & REQUESTS == 0
    }

    /// Returns whether a check of the sleep queue was requested and has not been made yet.
    #[cfg(not(loom))]
    pub(crate) fn has_timer_request(&self) -> bool {
        self.0.load(Ordering::Relaxed) & NOTIFIED != 0
    }

    /// Returns whether root is in the inbox, or about to be.
    #[cfg(all(not(target_os = "linux"), not(feature = "smp")))]
    pub(crate) fn has_requests(&self) -> bool {
        self.0.load(Ordering::Relaxed) & REQUESTS != 0
    }

    /// Leaves a note that the loop removes when it has examined its inbox. Returns whether root must
    /// be put into the inbox.
    #[must_use]
    pub(crate) fn leave_note(&self) -> bool {
        self.0.fetch_or(TOKEN, Ordering::AcqRel) & REQUESTS == 0
    }

    /// Returns whether the note was removed.
    pub(crate) fn has_read_note(&self) -> bool {
        self.0.load(Ordering::Relaxed) & TOKEN == 0
    }

    /// Takes the requests, so that a later request counts again. Returns whether a check of the
    /// sleep queue was requested.
    #[cfg(not(any(feature = "smp", loom)))]
    pub(crate) fn take_requests(&self) -> bool {
        self.0.fetch_and(!REQUESTS, Ordering::AcqRel) & NOTIFIED != 0
    }

    /// Requests a look at the levels that were changed. Returns whether root must be put into the
    /// inbox.
    #[cfg(any(feature = "smp", loom))]
    #[must_use]
    pub(crate) fn request_levels(&self) -> bool {
        self.0.fetch_or(LEVELS, Ordering::AcqRel) & REQUESTS == 0
    }

    /// Takes the requests, so that a later request counts again.
    #[cfg(any(feature = "smp", loom))]
    pub(crate) fn take_requests(&self) -> Requests {
        let taken = self.0.fetch_and(!REQUESTS, Ordering::AcqRel);
        Requests {
            timer: taken & NOTIFIED != 0,
            levels: taken & LEVELS != 0,
        }
    }
}
