//! The check at each switch: the fiber that leaves has not left its stack before, and has not written over its end; the one
//! that comes finds its stack where it left it.
//!
//! The fast path is a handful of instructions, inline. What it does not like is looked at on the stack of the loop's own
//! context, which does not run while a fiber does: the fiber's own has no room left, and what is below it is another's.

use crate::scheduler::task::header::Header;
#[cfg(not(any(miri, kfiber_threads)))]
use {
    super::RunLoop,
    super::suspicion::{condemn, judge},
    core::arch::naked_asm,
};
#[cfg(all(feature = "stack-check", not(any(miri, kfiber_threads))))]
use {
    crate::stack::{CANARY, CANARY_TOP_AT},
    core::arch::asm,
    core::mem::offset_of,
};

/// Calls a function that takes a fiber and keeps every register but rax and rcx, so that the compiler makes the code around
/// a check as if there were none.
#[cfg(not(target_feature = "sse"))]
macro_rules! call_out_of_line {
    ($function:path, $fiber:expr) => {
        asm!("call {}", sym $function, in("rdi") $fiber, out("rax") _, out("rcx") _)
    };
}
/// Where the compiler may use SSE there are more registers, which the function does not keep.
#[cfg(target_feature = "sse")]
macro_rules! call_out_of_line {
    ($function:path, $fiber:expr) => {
        $function($fiber)
    };
}

/// Checks the running fiber, which is about to leave its stack: does not return if it has overflowed.
///
/// # Safety
///
/// `fiber` is the running fiber, in its scheduler's loop, and nothing was changed yet for it to leave.
#[inline(always)]
pub(crate) unsafe fn before_leaving(fiber: *const Header) {
    #[cfg(all(feature = "stack-check", not(any(miri, kfiber_threads))))]
    // SAFETY: it reads the header and the canary of a living fiber, and jumps to the label or goes on after the last line.
    unsafe {
        asm!(
            "mov rcx, [{fiber} + {bottom}]",
            "cmp rsp, rcx",
            "jbe {unusual}",
            "cmp dword ptr [rcx + {canary_at}], {canary}",
            "jne {unusual}",
            fiber = in(reg) fiber,
            bottom = const offset_of!(Header, stack_bottom),
            canary = const CANARY,
            canary_at = const CANARY_TOP_AT,
            out("rcx") _,
            unusual = label {
                // SAFETY: the caller's promise is what `look_closer` asks for.
                unsafe { call_out_of_line!(look_closer, fiber) }
            },
            options(nostack, readonly),
        );
    }
    #[cfg(not(all(feature = "stack-check", not(any(miri, kfiber_threads)))))]
    let _ = fiber;
}

/// Checks that the stack pointer of a fiber that is to run soon lies in its own stack. If not, the fiber ends as soon as it
/// runs.
///
/// It is called where the loop chooses anew who runs. A switch among equals leaves it out: there it would cost an eighth of
/// all. What remains there is the first exception that a fiber on a stack that is none runs into, whose
/// [classification](crate::scheduler::fail::exception) looks at the same word.
///
/// # Safety
///
/// `fiber` is alive, and is not root.
#[inline(always)]
pub(crate) unsafe fn before_running(fiber: *const Header) {
    #[cfg(all(feature = "stack-check", not(any(miri, kfiber_threads))))]
    // SAFETY: it reads the header of a living fiber, and jumps to the label or goes on after the last line.
    unsafe {
        asm!(
            "mov rcx, [{fiber} + {sp}]",
            "cmp rcx, [{fiber} + {bottom}]",
            "jbe {elsewhere}",
            "cmp rcx, {fiber}",
            "ja {elsewhere}",
            fiber = in(reg) fiber,
            sp = const Header::SP_AT,
            bottom = const offset_of!(Header, stack_bottom),
            out("rcx") _,
            elsewhere = label {
                // SAFETY: the caller's promise is what is asked for there.
                unsafe { call_out_of_line!(condemn_keeping_registers, fiber) }
            },
            options(nostack, readonly),
        );
    }
    #[cfg(not(all(feature = "stack-check", not(any(miri, kfiber_threads)))))]
    let _ = fiber;
}

/// Goes over to the stack of the loop's own context, below what is stored there, and has [`judge`] decide. Returns if all is
/// well, with all registers as they were but rax and rcx.
///
/// # Safety
///
/// As [`before_leaving`].
#[cfg(not(any(miri, kfiber_threads)))]
#[unsafe(naked)]
unsafe extern "sysv64" fn look_closer(fiber: *const Header) {
    naked_asm!(
        ".cfi_startproc",
        "endbr64",
        "mov rax, rsp",
        "mov rcx, [rdi + {run_loop}]",
        "mov rsp, [rcx + {root_sp}]",
        "sub rsp, 128", // where there is a red zone
        "and rsp, -16",
        "push rax",
        "push rbx",
        "mov rbx, rsp",
        ".cfi_escape 0x0f, 5, 0x73, 8, 0x06, 0x23, 8", // the caller's rsp is what lies at rbx + 8, and 8
        ".cfi_escape 0x10, 3, 2, 0x73, 0",              // its rbx lies at rbx
        "push rdx",
        "push rsi",
        "push rdi",
        "push r8",
        "push r9",
        "push r10",
        "push r11",
        "push r11",
        "mov rsi, rax",
        "mov rdx, rbp",
        "call {judge}",
        "pop r11",
        "pop r11",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "mov rax, [rbx + 8]",
        "mov rbx, [rbx]",
        ".cfi_def_cfa rax, 8",
        ".cfi_restore rbx",
        "mov rsp, rax",
        "ret",
        ".cfi_endproc",
        run_loop = const Header::RUN_LOOP_AT,
        root_sp = const RunLoop::ROOT_SP_AT,
        judge = sym judge,
    )
}

/// [`condemn`], with all registers as they were but rax and rcx.
///
/// # Safety
///
/// As [`before_running`].
#[cfg(not(any(miri, kfiber_threads)))]
#[unsafe(naked)]
unsafe extern "sysv64" fn condemn_keeping_registers(fiber: *const Header) {
    naked_asm!(
        ".cfi_startproc",
        "endbr64",
        "push rbx", ".cfi_adjust_cfa_offset 8", ".cfi_rel_offset rbx, 0",
        "mov rbx, rsp",
        ".cfi_def_cfa_register rbx",
        "and rsp, -16",
        "push rdx",
        "push rsi",
        "push rdi",
        "push r8",
        "push r9",
        "push r10",
        "push r11",
        "push r11",
        "call {condemn}",
        "pop r11",
        "pop r11",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "mov rsp, rbx",
        ".cfi_def_cfa_register rsp",
        "pop rbx", ".cfi_adjust_cfa_offset -8", ".cfi_restore rbx",
        "ret",
        ".cfi_endproc",
        condemn = sym condemn,
    )
}
