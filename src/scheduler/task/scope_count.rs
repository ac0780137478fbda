//! The number of fibers of a scope that still run.

use super::header::Header;
use super::id::FiberId;
use core::sync::atomic::{AtomicBool, AtomicUsize};

/// The owner of a scope, and the number of its fibers. It is the object that the owner's wait
/// records.
///
/// - **B1**: `running` counts the fibers that may still use what the scope lent them. It is
///   incremented before each of them is spawned. The owner leaves
///   [`scope`](crate::scheduler::scope()) neither by returning nor by unwinding before the count is
///   zero. If there is no other way, the process ends.
pub(crate) struct ScopeCount {
    owner: *const Header,
    /// The generation of the owner. A scope may be left behind in a
    /// [`Fiber`](crate::fiber::Fiber), and then the owner may end before it.
    generation: u32,
    pub(crate) running: AtomicUsize,
    pub(crate) has_failure: AtomicBool,
}

impl ScopeCount {
    /// Returns the count of a scope of this fiber, which has no fibers yet.
    pub(crate) const fn new(owner: FiberId) -> Self {
        Self {
            owner: owner.header,
            generation: owner.generation,
            running: AtomicUsize::new(0),
            has_failure: AtomicBool::new(false),
        }
    }

    /// Returns the fiber that waits for all others of the scope.
    pub(crate) const fn owner(&self) -> FiberId {
        // SAFETY: it was made of such an id.
        unsafe { FiberId::new(self.owner, self.generation) }
    }
}
