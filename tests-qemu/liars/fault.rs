//! Those that raise an exception which they did not promise.

use core::{arch::asm, hint::black_box};

use tests_qemu::kernel_test;

kernel_test! {
    fn general_protection() {
        read_non_canonical_address();
    }

    fn reads_in_a_function_of_core() {
        read_by_core(black_box(0x5ead_0000_0000));
    }

    fn overflows_the_stack() {
        recurse(black_box(u64::MAX));
    }

    fn faults_instead_of_panicking() panics("the promised message") {
        raise_invalid_opcode();
    }

    fn raises_another_exception() faults("#PF") {
        raise_invalid_opcode();
    }
}

/// The runner must name this function.
#[inline(never)]
fn read_non_canonical_address() {
    // SAFETY: The fault ends the run.
    unsafe { asm!("mov rax, [{}]", in(reg) 0x8000_0000_0000_0000_u64, out("rax") _) };
}

/// The runner must name this function too: the exception is in one of `core` that it calls.
#[inline(never)]
fn read_by_core(address: usize) {
    // SAFETY: The fault ends the run.
    black_box(unsafe { core::ptr::with_exposed_provenance::<u64>(address).read_volatile() });
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let mut frame = [depth; 32];
    if depth > 0 {
        black_box(&mut frame);
        recurse(depth - 1) + frame[0]
    } else {
        0
    }
}

fn raise_invalid_opcode() {
    // SAFETY: The fault ends the run.
    unsafe { asm!("ud2") };
}
