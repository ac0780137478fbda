//! Those that take the machine down: QEMU then ends with status 0, or with 1 as for its own errors.

use core::arch::asm;

use tests_qemu::{exit, kernel_test, println, serial};
use x86_64::{
    VirtAddr,
    instructions::{interrupts, tables::lidt},
    structures::DescriptorTablePointer,
};

use crate::print_pass;

/// QEMU's status is twice this value plus one.
const STATUS_1: u8 = 0;

kernel_test! {
    fn triple_faults() {
        triple_fault();
    }

    fn says_ok_and_triple_faults() {
        println!("test result: ok. 1 passed; 0 failed");
        print_pass("crash::says_ok_and_triple_faults", serial::lines());
        triple_fault();
    }

    fn exits_with_status_1() {
        exit::exit_with(STATUS_1);
    }

    fn passes_and_exits_with_status_1() {
        print_pass("crash::passes_and_exits_with_status_1", serial::lines());
        exit::exit_with(STATUS_1);
    }
}

/// The runner must name this function.
#[inline(never)]
fn triple_fault() {
    interrupts::disable();
    let empty = DescriptorTablePointer {
        limit: 0,
        base: VirtAddr::zero(),
    };
    // SAFETY: No exception can be delivered any more, which is the point.
    unsafe { lidt(&empty) };
    // SAFETY: The machine is reset here.
    unsafe { asm!("ud2") };
}
