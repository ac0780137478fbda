//! What is reported about fibers, as data and as text: failures, overflows, hogs, and the hooks
//! that receive the reports.

pub(crate) mod backtrace;
pub(crate) mod failure;
pub(crate) mod hog;
pub(crate) mod hooks;
pub(crate) mod late_timer;
pub(crate) mod neighbour;
pub(crate) mod not_contained;
pub(crate) mod overflow;
pub(crate) mod registers;
