//! How many fibers of a scope still run.

use super::header::Header;
use core::sync::atomic::{AtomicBool, AtomicUsize};

/// Who waits for how many. It is what the owner waits for, by its record.
///
/// - **B1**: `running` counts the fibers that may still use what the scope lent them, from before each is spawned. The owner
///   leaves [`scope`](crate::scheduler::scope()) neither by returning nor by unwinding before the count is zero; if all else fails, the process ends.
pub(crate) struct ScopeCount {
    pub(crate) owner: *const Header,
    pub(crate) running: AtomicUsize,
    pub(crate) has_failure: AtomicBool,
}

impl ScopeCount {
    /// The fiber that waits for all others of the scope.
    pub(crate) const fn owner(&self) -> *const Header {
        self.owner
    }
}
