//! The switch as a function that is called, and its name for C.

use super::block::{Context, ControlBlock, Payload, Transfer};
use super::control_words::{exchange_control_words, store_control_words};
use super::x86_64::tail_of_registers;
use core::arch::naked_asm;

/// Gives the function `$function` its name for C, unless a copy of the crate that link-time
/// optimisation has put into the same unit has done so.
#[cfg(not(target_os = "uefi"))]
macro_rules! name_for_c {
    ($function:literal) => {
        name_for_c!(
            $function,
            concat!(
                "kfiber_",
                env!("CARGO_PKG_VERSION_MAJOR"),
                "_",
                env!("CARGO_PKG_VERSION_MINOR"),
                "_switch"
            )
        )
    };
    ($function:literal, $name:expr) => {
        concat!(
            ".ifndef ", $name, "; .weak ", $name, "; .set ", $name, ", ", $function, "; .endif"
        )
    };
}

/// No name for C: there are no weak symbols in the object files.
#[cfg(target_os = "uefi")]
macro_rules! name_for_c {
    ($function:literal) => {
        concat!("// ", $function)
    };
}

/// Switches as the inline functions do, but out of line: for C, for assembly, and for small code.
///
/// It works on the same blocks as the inline functions, in any combination with them. C calls it
/// `kfiber_MAJOR_MINOR_switch`, with the crate's version in the name:
///
/// ```c
/// struct kfiber_context { void *rbp, *ip, *sp, *rbx; };          /* see Context: more where SSE is in use */
/// struct kfiber_block { _Alignas(64) struct kfiber_context parent, own; };
/// struct kfiber_transfer { uintptr_t payload; struct kfiber_block *tag; };
///
/// /* Stores the running registers in *prev, continues *next. resume: (p, b, &b->parent, &b->own);
///    suspend: (p, b, &b->own, &b->parent); between fibers: (p, a, &a->own, &b->own). */
/// struct kfiber_transfer kfiber_0_1_switch(uintptr_t payload, struct kfiber_block *tag,
///                                        struct kfiber_context *prev, struct kfiber_context *next);
/// ```
///
/// The name for C is a weak symbol, so a kernel may link any number of copies of the crate, even of
/// one version. The linker then gives the name to the function of one of these copies. All copies
/// of a version have the same layout of contexts if the feature `fp-control` is the same in all of
/// them. The object files of UEFI applications have no such symbols, so the name is missing there.
///
/// # Safety
///
/// `next` can be continued (**C1**, **C2**). `prev` is valid for writes and is not `next`. Both
/// stay in place (**C3**). `tag` is the block that the caller leaves.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn switch_out_of_line(
    payload: Payload,
    tag: *mut ControlBlock,
    prev: *mut Context,
    next: *const Context,
) -> Transfer {
    naked_asm!(
        ".cfi_startproc",
        "endbr64",
        "push r12", ".cfi_adjust_cfa_offset 8", ".cfi_rel_offset r12, 0",
        "push r13", ".cfi_adjust_cfa_offset 8", ".cfi_rel_offset r13, 0",
        "push r14", ".cfi_adjust_cfa_offset 8", ".cfi_rel_offset r14, 0",
        "push r15", ".cfi_adjust_cfa_offset 8", ".cfi_rel_offset r15, 0",
        "mov r10, rdx",                         // prev
        "mov r11, rcx",                         // next
        "lea rax, [rip + 2f]",
        "mov rcx, [r11 + {sp}]",
        "mov rdx, [r11 + {ip}]",
        "mov r8,  [r11 + {rbp}]",
        "mov r9,  [r11 + {rbx}]",
        store_control_words!("r10"),
        "mov [r10 + {sp}],  rsp",
        "mov [r10 + {rbp}], rbp",
        "mov [r10 + {rbx}], rbx",
        "mov [r10 + {ip}],  rax",
        exchange_control_words!("r10", "r11"),
        "jmp {tail}",
        "2: endbr64",
        "pop r15", ".cfi_adjust_cfa_offset -8", ".cfi_restore r15",
        "pop r14", ".cfi_adjust_cfa_offset -8", ".cfi_restore r14",
        "pop r13", ".cfi_adjust_cfa_offset -8", ".cfi_restore r13",
        "pop r12", ".cfi_adjust_cfa_offset -8", ".cfi_restore r12",
        "mov rax, rdi",
        "mov rdx, rsi",
        "ret",
        ".cfi_endproc",
        name_for_c!("{this}"),
        this = sym switch_out_of_line,
        tail = sym tail_of_registers,
        sp = const Context::SP_AT,
        ip = const Context::IP_AT,
        rbp = const Context::RBP_AT,
        rbx = const Context::RBX_AT,
    )
}
