//! Which fiber runs on this core, and whether it may wait.

pub(crate) mod current;
pub(crate) mod fast;
pub(crate) mod forbid;
mod lent;
pub(crate) mod misuse;
pub(crate) mod no_unwind;
pub(crate) mod yielding;
