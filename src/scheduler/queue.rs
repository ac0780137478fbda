//! Data structures over fibers that contain no loop: ready rings, the sleep queue, and the list of
//! all fibers.

pub(crate) mod all;
pub(crate) mod ready;
pub(crate) mod sleepers;
