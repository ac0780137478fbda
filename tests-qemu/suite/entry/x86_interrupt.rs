//! The bridge for handlers of type `extern "x86-interrupt" fn`, which stable Rust does not compile.
//!
//! What is special about such a handler is that the frame of the processor is a parameter by value, and is returned to from
//! where it lies. A function of the C ABI with the same parameter finds it directly above its return address. So a stub that
//! does nothing but call such a function gives the compiler the same freedom to drop stores to the frame. It does not keep
//! registers, but nobody goes on with those after a failure.

use core::arch::naked_asm;

use kfiber::exceptions::handle_x86_interrupt;
use kfiber::scheduler::{Failure, JoinErrorKind};
use tests_qemu::{exceptions, kernel_test, run};
use x86_64::structures::idt::InterruptStackFrame;

use super::{GUARDED, REPORTS, SCHEDULER, failure_among_others, unmap_guards, use_up_the_stack};
use crate::failures::kinds::Kind;

#[unsafe(naked)]
unsafe extern "sysv64" fn invalid_opcode_entry() {
    naked_asm!("cld", "call {}", "iretq", sym invalid_opcode)
}

extern "sysv64" fn invalid_opcode(mut frame: InterruptStackFrame) {
    // SAFETY: it was just raised, nothing was locked, and `frame` is the parameter.
    if let Err(why) = unsafe { handle_x86_interrupt(&mut frame, 6, 0) } {
        run::fail(format_args!("#UD was fatal: {why}"));
    }
}

#[unsafe(naked)]
unsafe extern "sysv64" fn page_fault_entry() {
    naked_asm!("cld", "pop rdi", "call {}", "iretq", sym page_fault)
}

extern "sysv64" fn page_fault(error_code: u64, mut frame: InterruptStackFrame) {
    // SAFETY: it was just raised, nothing was locked, and `frame` is the parameter.
    if let Err(why) = unsafe { handle_x86_interrupt(&mut frame, 14, error_code) } {
        run::fail(format_args!("#PF was fatal: {why}"));
    }
}

fn with_handlers() {
    SCHEDULER.set_hooks(&REPORTS).expect("they are the first");
    // SAFETY: the entries are for these vectors, and end with `iretq`.
    unsafe { exceptions::set_entry_on(6, invalid_opcode_entry, None) };
    // SAFETY: as above.
    unsafe { exceptions::set_entry_on(14, page_fault_entry, Some(4)) };
}

kernel_test! {
    fn a_handler_with_the_frame_by_value_contains_faults() {
        with_handlers();
        for kind in [Kind::InvalidInstruction, Kind::PageFault, Kind::JumpToNowhere, Kind::InvalidInstruction] {
            kind.check(failure_among_others(move || kind.fail()));
        }
    }

    fn a_handler_with_the_frame_by_value_contains_an_overflow() {
        with_handlers();
        unmap_guards();
        let fiber = SCHEDULER.spawn(&GUARDED, use_up_the_stack).expect("a cell is free");
        Kind::InvalidInstruction.check(failure_among_others(|| Kind::InvalidInstruction.fail()));
        let told = fiber.try_join().expect_err("it did not return");
        assert!(matches!(told.kind, JoinErrorKind::Failed(Failure::Overflowed(_))), "{told}");
    }
}
