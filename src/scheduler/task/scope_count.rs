//! The number of fibers of a scope that still run.

use super::header::Header;
use core::sync::atomic::{AtomicBool, AtomicUsize};

/// The owner of a scope, and the number of its fibers. It is the object that the owner's wait
/// records.
///
/// - **B1**: `running` counts the fibers that may still use what the scope lent them. It is
///   incremented before each of them is spawned. The owner leaves
///   [`scope`](crate::scheduler::scope()) neither by returning nor by unwinding before the count is
///   zero. If there is no other way, the process ends.
pub(crate) struct ScopeCount {
    pub(crate) owner: *const Header,
    pub(crate) running: AtomicUsize,
    pub(crate) has_failure: AtomicBool,
    /// What a fiber of the scope calls when it has finished. A kernel without scopes does not contain
    /// this code, since the call is indirect.
    pub(crate) when_done: fn(&Self),
}

impl ScopeCount {
    /// Records that a fiber of the scope no longer uses anything that it borrowed.
    #[inline(always)]
    pub(crate) fn tell(&self) {
        (self.when_done)(self);
    }
}

#[cfg(not(feature = "smp"))]
impl ScopeCount {
    /// Returns the fiber that waits for all others of the scope.
    pub(crate) const fn owner(&self) -> *const Header {
        self.owner
    }
}
