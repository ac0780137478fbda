//! A kernel that is a UEFI application: the firmware starts it, and then gives the machine away.
#![no_std]
#![no_main]

mod cores;
mod kernel;
mod machine;

use kfiber::x86_64::VirtAddr;
use uefi::prelude::*;

/// Called by the firmware, which has mapped all memory one to one.
#[entry]
fn boot() -> Status {
    // SAFETY: nothing of the boot services is used from here on.
    let _memory_map = unsafe { uefi::boot::exit_boot_services(None) };
    kernel::main(VirtAddr::zero())
}
