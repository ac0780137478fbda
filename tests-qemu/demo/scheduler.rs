//! The scheduler of this kernel.

use crate::machine::{self, CORES, Machine};
use kfiber::scheduler::Scheduler;

/// All fibers of this kernel.
pub(crate) static SCHEDULER: Scheduler<Machine, CORES> = Scheduler::new(machine::machine());

/// The flight recorder of this kernel: `cargo xtask demo --trace FILE`.
#[cfg(feature = "trace")]
pub(crate) static RECORDER: kfiber::trace::Recorder<32768, CORES> = kfiber::trace::Recorder::new();
