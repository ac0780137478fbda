//! The scheduler of this kernel.

use crate::machine::{self, CORES, Machine};
use kfiber::scheduler::Scheduler;

/// All fibers of this kernel.
pub(crate) static SCHEDULER: Scheduler<Machine, CORES> = Scheduler::new(machine::machine());
