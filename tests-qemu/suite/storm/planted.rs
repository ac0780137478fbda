//! A switch with a bug, for the tests to find.

use core::arch::naked_asm;

use kfiber::context::{Context, ControlBlock, Payload, Transfer, switch_out_of_line};

/// Preserves all that it must, but keeps rbx below rsp for a moment, where an interrupt overwrites it.
#[unsafe(naked)]
pub(super) unsafe extern "sysv64" fn switch_with_rbx_below_rsp(
    payload: Payload,
    tag: *mut ControlBlock,
    prev: *mut Context,
    next: *const Context,
) -> Transfer {
    naked_asm!(
        ".balign 64", // within one page, so within one block of translated code
        "mov [rsp - 8], rbx",
        "lea rbx, [rdi + rsi]",
        "xor rbx, rdx",
        "mov rbx, [rsp - 8]",
        "jmp {switch}",
        switch = sym switch_out_of_line,
    )
}
