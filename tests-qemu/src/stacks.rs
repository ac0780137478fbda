//! What `cargo xtask stacks` reads: how much of each stack was used, one line each.

use kfiber::{platform::Platform, scheduler::Scheduler};

use crate::println;

/// Prints it. To be called when the kernel has done what is typical for it.
pub fn print<P: Platform, const CORES: usize>(scheduler: &'static Scheduler<P, CORES>) {
    for mark in scheduler.high_water_marks() {
        println!("{mark}");
    }
}
