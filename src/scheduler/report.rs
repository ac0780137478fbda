//! What is reported about fibers, as data and as text: failures, overflows, soft lockups, and the
//! hooks that receive the reports.

pub(crate) mod backtrace;
pub(crate) mod failure;
pub(crate) mod fatal_reason;
pub(crate) mod hooks;
#[cfg(feature = "trace")]
pub(crate) mod last_events;
pub(crate) mod late_timer;
pub(crate) mod neighbour;
pub(crate) mod overflow;
pub(crate) mod print;
pub(crate) mod registers;
pub(crate) mod soft_lockup;
