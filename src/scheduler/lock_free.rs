//! The lock-free pieces of the scheduler alone, for loom, which tries all their interleavings: `--cfg loom` builds nothing else.

#[path = "inbox.rs"]
mod inbox;
#[path = "state.rs"]
mod state;

#[path = "loom_tests.rs"]
mod loom_tests;
