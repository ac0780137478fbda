//! What interrupt handlers and other cores touch: the state word of a fiber and the inbox of a loop. Tested by loom.

pub(crate) mod inbox;
#[cfg(all(loom, test))]
mod loom_tests;
pub(crate) mod state;
