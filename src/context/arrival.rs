//! The return from an exception handler into another fiber, when the interrupted fiber does not
//! continue.

use super::block::{Context, ControlBlock};
use super::control_words::load_control_words;
use core::arch::{asm, naked_asm};
use core::mem::offset_of;

/// Returns the instruction pointer and the stack pointer that a return from an exception must load
/// to continue `next.own`. The return must also clear all flags.
///
/// `next.own` then continues, with interrupts on, as if a switch had arrived with a payload and a
/// tag of zero. This needs only one word of stack, directly below the stack pointer of `next`. An
/// interrupt would use that word as well.
///
/// # Safety
///
/// `next.own` can be continued (**C1**, **C2**), is where a switch or [`ControlBlock::init`] left
/// it, and is continued only by that return from an exception.
pub(crate) unsafe fn prepare(next: *mut ControlBlock) -> (*const (), *mut u8) {
    // SAFETY: the caller's promise.
    let stack = unsafe { (*next).own.sp }.wrapping_sub(size_of::<*mut ControlBlock>());
    // SAFETY: C1: nobody uses the memory below a context's stack pointer.
    unsafe { stack.cast::<*mut ControlBlock>().write(next) };
    let address;
    // SAFETY: it computes an address, and touches neither memory, stack nor flags.
    unsafe {
        asm!("lea {}, [rip + {}]", out(reg) address, sym arrival,
            options(pure, nomem, nostack, preserves_flags));
    }
    (address, stack)
}

/// The target of the return from the exception. On entry, the block to continue is on the stack,
/// and interrupts are off. An interrupt that cannot be masked finds enough room on the stack at
/// each instruction.
#[unsafe(naked)]
unsafe extern "sysv64" fn arrival() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",                   // there is no caller
        "pop rcx",
        "mov rdx, [rcx + {own} + {ip}]",
        "mov rbp, [rcx + {own} + {rbp}]",
        "mov rbx, [rcx + {own} + {rbx}]",
        load_control_words!("rcx + {own}"),
        "xor edi, edi",
        "xor esi, esi",
        "sti",                                  // takes effect after the next instruction
        "jmp rdx",
        "int3",
        ".cfi_endproc",
        own = const offset_of!(ControlBlock, own),
        ip = const Context::IP_AT,
        rbp = const Context::RBP_AT,
        rbx = const Context::RBX_AT,
    )
}
