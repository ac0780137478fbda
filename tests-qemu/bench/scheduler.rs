//! The scheduler of all fibers that are measured.

use kfiber::scheduler::Scheduler;
use tests_qemu::platform::{self, Bare};

pub(crate) static SCHEDULER: Scheduler<Bare> = Scheduler::new(platform::bare());
