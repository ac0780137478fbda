//! The locks on the host: who gets them, how long they are waited for, and what a failed holder or a deadlock means.
#![expect(clippy::unwrap_used, reason = "a test says what failed by its line")]

mod failures;
mod turns;
mod world;

use core::time::Duration;

const MILLISECOND: Duration = Duration::from_millis(1);
