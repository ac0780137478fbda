//! What happens to the others when a fiber fails, and who is told, on the host.
#![expect(clippy::unwrap_used, reason = "a test says what failed by its line")]

mod hooks;
mod panics;
