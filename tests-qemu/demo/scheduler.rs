//! The scheduler of this kernel.

use kfiber::scheduler::Scheduler;
use tests_qemu::platform::{self, Bare};

/// All fibers of this kernel.
pub(crate) static SCHEDULER: Scheduler<Bare> = Scheduler::new(platform::bare());
