//! The scheduler of all fibers that are measured.

use kfiber::scheduler::Scheduler;
use tests_qemu::platform::{self, Bare};

pub(crate) static SCHEDULER: Scheduler<Bare> = Scheduler::new(platform::bare());

/// Records what is measured.
#[cfg(all(feature = "trace", not(feature = "smp")))]
pub(crate) static RECORDER: kfiber::trace::Recorder<256> = kfiber::trace::Recorder::new();
