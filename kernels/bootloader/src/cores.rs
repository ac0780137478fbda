//! One core. With the feature `smp`, `several_cores.rs` takes the place of this file.

use kfiber::x86_64::VirtAddr;

/// How many cores the scheduler has.
pub const COUNT: usize = 1;

/// To be called first of all.
pub fn init() {}

/// To be called before the first core runs fibers.
pub fn start_others(_physical_memory_at: VirtAddr) {}
