//! From QEMU's PVH entry (32-bit, no paging) to Rust on a stack of its own in long mode.
//!
//! Memory is mapped one to one up to 4 GiB, with pages of 2 MiB, and page 0 is left out so that null pointers fault.

use core::{
    arch::global_asm,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    core_local, exceptions, interrupts, paging, serial,
    start_info::{self, StartInfo},
};

/// Size of the stack on which the kernel and its test begin.
pub const STACK_SIZE: usize = 256 * 1024;

global_asm!(include_str!("boot.s"), stack_size = const STACK_SIZE);

static ENTRY_RSP: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    /// Defined by `linker/qemu-test.ld`. Whoever links without it reads this name in the linker's error.
    static kfiber_ld_not_passed_to_the_linker__see_README: u8;
    static kfiber_test_boot_stack_bottom: u8;
}

unsafe extern "Rust" {
    /// The kernel's own main function, see [`entry!`](crate::entry).
    safe fn kfiber_test_main() -> !;
}

/// Names the function that a kernel runs once the machine is set up: `entry!(tests_qemu::run::run_one_test);`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        fn kfiber_test_main() -> ! {
            let main: fn() -> ! = $main;
            main()
        }
    };
}

/// Called by the assembly with the address of the start info and the stack pointer at the call.
#[unsafe(no_mangle)]
extern "C" fn kfiber_test_rust_entry(start_info: *mut StartInfo, rsp: u64) -> ! {
    start_info::remember(start_info);
    ENTRY_RSP.store(rsp, Ordering::Relaxed);
    core_local::install(0);
    serial::init();
    exceptions::init();
    paging::protect_code();
    paging::unmap(&raw const kfiber_test_boot_stack_bottom as u64);
    interrupts::init();
    kfiber_test_main()
}

/// Where a linker without our script would start: makes a forgotten script an error that can be read.
#[unsafe(no_mangle)]
extern "C" fn _start() -> u64 {
    &raw const kfiber_ld_not_passed_to_the_linker__see_README as u64
}

/// Returns the stack pointer with which Rust was first called (before the return address was pushed).
#[must_use]
pub fn entry_rsp() -> u64 {
    ENTRY_RSP.load(Ordering::Relaxed)
}

/// Returns the lowest usable and one past the highest address of the boot stack; below it lies an unmapped page.
#[must_use]
pub fn stack() -> (u64, u64) {
    let bottom = &raw const kfiber_test_boot_stack_bottom as u64 + 4096;
    (bottom, bottom + STACK_SIZE as u64)
}
