//! Data structures of fibers, which do not depend on the run loop: the ready queue, the sleep
//! queue, and the list of all fibers.

pub(crate) mod all;
pub(crate) mod ready;
pub(crate) mod sleepers;
