//! What interrupt handlers and other cores use: the state word of a fiber, its joiner, and the inbox
//! of a loop.
//! All are tested with loom.

pub(crate) mod inbox;
pub(crate) mod joiner;
#[cfg(all(loom, test))]
mod loom_tests;
pub(crate) mod state;
