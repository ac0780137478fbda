//! The data that interrupt handlers and other cores access: the state word of a fiber and the inbox
//! of a loop. Both are tested with loom.

pub(crate) mod inbox;
#[cfg(all(loom, test))]
mod loom_tests;
pub(crate) mod state;
