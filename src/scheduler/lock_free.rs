//! What interrupt handlers and other cores use: the state word of a fiber, its joiner, the inbox
//! of a loop, and who of several loops sleeps. All are tested with loom.

pub(crate) mod inbox;
pub(crate) mod joiner;
#[cfg(all(loom, test))]
mod loom_tests;
#[cfg(any(feature = "smp", loom))]
pub(crate) mod roster;
pub(crate) mod state;
