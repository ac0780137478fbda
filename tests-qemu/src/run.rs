//! Runs the one test that the command line names, on a machine whose cores share one serial port.

use core::fmt;

use kfiber_test::run::{self, Kernel};

pub use kfiber_test::run::current;

use crate::{core_local, serial, start_info};

/// What this harness lends to its tests.
#[derive(Debug)]
pub(crate) struct Harness;

impl Kernel for Harness {
    fn print_line(&self, text: fmt::Arguments<'_>) {
        serial::print_line(text);
    }

    fn lines(&self) -> Option<u64> {
        Some(serial::lines())
    }

    fn core(&self) -> usize {
        core_local::this()
    }

    fn before_failure(&self) {
        serial::print_core();
    }

    fn stop(&self) -> ! {
        serial::give_up();
        core_local::stop()
    }
}

/// The main function of a kernel that is a collection of tests.
pub fn run_one_test() -> ! {
    run::one_test(&Harness, start_info::command_line())
}

/// Ends the run as passed. A test may call it where it cannot return, for instance in a hook.
pub fn pass() -> ! {
    run::pass(&Harness)
}

/// Ends the run as failed, for this reason.
pub fn fail(reason: fmt::Arguments<'_>) -> ! {
    run::fail(&Harness, reason)
}
