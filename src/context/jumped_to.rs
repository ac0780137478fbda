//! A whole switch but its landing, in one place, for code that has no more to do and jumps here.
//!
//! ```text
//!   in the code that switches        here                                   in the code of the other side
//!   lea r11, landing           ┌───► store rsp rbp rbx r11 in `prev`   ┌──► landing:
//!   …                          │     load  rsp rbx rbp from `next`     │      endbr64
//!   jmp ───────────────────────┘     jmp [ip of `next`] ───────────────┘
//!   rsi = prev, rax = next, r11 = landing;  rdi = payload, rsi = tag, passed on untouched
//! ```
//!
//! Code that has an assembly of its own can come here with all that it knows in registers. It needs
//! no room for a switch then, and nothing between the stores and the tail.
//!
//! It has no control words of the floating-point units. Where a context has some, it does not exist.

use super::block::{Context, ControlBlock};
use core::arch::naked_asm;
use core::mem::offset_of;

// The rules below have one byte for each.
const _: () = assert!(
    size_of::<ControlBlock>() <= 64,
    "and the highest bit is a sign"
);

/// Stores the running context in `rsi.own`, to be continued at r11, and continues `rax.own`.
///
/// It is entered by a jump, on the stack of the code that switches. That code declares every register
/// but rsp, rbp and rbx as clobbered, and has an `endbr64` at the address in r11. There rdi and rsi are
/// the payload and the tag.
///
/// # Safety
///
/// The requirements of [`switch`](super::switch) apply.
#[unsafe(naked)]
pub(crate) unsafe extern "sysv64" fn switch_jumped_to() {
    naked_asm!(
        ".cfi_startproc simple",
        ".cfi_def_cfa rsp, 0", // the caller is the code that jumped
        ".cfi_register rip, r11",
        "mov [rsi + {sp}],  rsp",
        "mov [rsi + {rbp}], rbp",
        "mov [rsi + {rbx}], rbx",
        "mov [rsi + {ip}],  r11",
        "mov rsp, [rax + {sp}]",
        // From here on it is the context to be continued: DW_CFA_expression, rip, rbp and rbx, three
        // bytes, DW_OP_breg0 (rax), a number of two bytes.
        ".cfi_escape 0x10, 16, 3, 0x70, 0x80 | {ip}, 0",
        ".cfi_escape 0x10, 6, 3, 0x70, 0x80 | {rbp}, 0",
        ".cfi_escape 0x10, 3, 3, 0x70, 0x80 | {rbx}, 0",
        ".cfi_undefined r12",
        ".cfi_undefined r13",
        ".cfi_undefined r14",
        ".cfi_undefined r15",
        "mov rbx, [rax + {rbx}]",
        "mov rbp, [rax + {rbp}]",
        "jmp [rax + {ip}]",
        "int3",
        ".cfi_endproc",
        sp = const offset_of!(ControlBlock, own) + offset_of!(Context, sp),
        ip = const offset_of!(ControlBlock, own) + offset_of!(Context, record.ip),
        rbp = const offset_of!(ControlBlock, own) + offset_of!(Context, record.rbp),
        rbx = const offset_of!(ControlBlock, own) + offset_of!(Context, rbx),
    )
}
