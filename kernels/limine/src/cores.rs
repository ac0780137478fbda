//! One core. With the feature `smp`, `two_cores.rs` takes the place of this file.

use kfiber::hardware::LocalApicTimer;
use kfiber::platform::BareX86_64;
use kfiber::x86_64::VirtAddr;

/// How many cores the scheduler has.
pub const COUNT: usize = 1;

/// The platform of the scheduler.
pub type Machine = BareX86_64<LocalApicTimer>;

pub const fn machine() -> Machine {
    // SAFETY: no interrupt handler of this kernel turns interrupts on.
    unsafe { BareX86_64::new(LocalApicTimer::new()) }
}

/// To be called first of all.
pub fn init() {}

/// To be called before the first core runs fibers.
pub fn start_others(_physical_memory_at: VirtAddr) {}
