//! Data structures over fibers, without a loop: ready rings, sleep queue, the list of all.

pub(crate) mod all;
pub(crate) mod ready;
pub(crate) mod sleepers;
