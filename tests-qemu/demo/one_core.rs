//! The machine of a kernel with one core, as `kernel.rs` wants it. `several_cores.rs` has the other one.

use crate::scheduler::SCHEDULER;
use kfiber::scheduler::FiberInfo;
use tests_qemu::interrupts;
use tests_qemu::platform::{self, Bare};

/// The scheduler's platform.
pub(crate) type Machine = Bare;
/// The number of cores of the scheduler.
pub(crate) const CORES: usize = 1;

/// Whether [`core_of`] has an answer.
pub(crate) const KNOWS_CORES: bool = false;

/// Returns the platform for a scheduler in a static.
pub(crate) const fn machine() -> Machine {
    platform::bare()
}

/// Runs all fibers. Interrupts are on.
pub(crate) fn run() {
    #[cfg(feature = "trace")]
    crate::scheduler::RECORDER.start(&SCHEDULER);
    SCHEDULER.run();
}

/// Ends the interrupt of the timer.
pub(crate) fn end_of_timer_interrupt() {
    interrupts::end_of_interrupt();
}

/// Returns the core of a fiber, where there are several.
pub(crate) const fn core_of(_fiber: &FiberInfo) -> Option<usize> {
    None
}

/// Shows how busy each core was since the last call, where there are several. Returns the number of lines.
pub(crate) const fn print_load() -> usize {
    0
}
