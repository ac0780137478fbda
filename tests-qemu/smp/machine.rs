//! Cores without fibers: they start, interrupt each other, and have one clock and a timer each.

mod clock;
mod interrupts;
mod start;

use tests_qemu::{cores, run};

/// Starts as many cores as the test asks for.
///
/// # Panics
///
/// Panics if the machine has another number of cores, or if one does not start.
pub(crate) fn start_cores() -> usize {
    let test = run::current().expect("a test runs");
    match cores::start() {
        Ok(count) => {
            assert_eq!(count, test.cores_needed(), "cores of this machine");
            count
        }
        Err(error) => panic!("{error}"),
    }
}
