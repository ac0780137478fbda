//! The stack check at each switch: the previous fiber has neither left its stack nor overwritten
//! its end, and the next fiber finds its stack where it left it.
//!
//! The fast path is a handful of instructions, and is inlined. If it finds something suspicious,
//! this is examined on the stack of root, which does not run while a fiber does. The stack of the
//! fiber has no room left, and the memory below it belongs to somebody else.

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

/// Calls a function that takes a fiber and preserves every register except rax and rcx, so that the
/// compiler generates the code around a check as if there were no call.
#[cfg(not(target_feature = "sse"))]
macro_rules! call_out_of_line {
    ($function:path, $fiber:expr) => {
        asm!("call {}", sym $function, in("rdi") $fiber, out("rax") _, out("rcx") _)
    };
}
/// Where the compiler may use SSE, there are more registers, which the function does not preserve.
#[cfg(target_feature = "sse")]
macro_rules! call_out_of_line {
    ($function:path, $fiber:expr) => {
        $function($fiber)
    };
}

/// Where a function begins that is only called directly.
#[cfg(not(target_feature = "sse"))]
macro_rules! entry {
    () => {
        ""
    };
}
/// Where a function begins that the compiler calls: perhaps by a register, as in the large code model.
#[cfg(target_feature = "sse")]
macro_rules! entry {
    () => {
        "endbr64"
    };
}

/// Checks the running fiber, which is about to leave its stack. Does not return if the fiber has
/// overflowed it.
///
/// # Safety
///
/// `fiber` must be the running fiber, in the loop of its scheduler. Nothing may have been changed
/// yet to switch away from it.
#[inline(always)]
pub(crate) unsafe fn before_leaving(fiber: *const Header) {
    // SAFETY: the caller's promise.
    if unsafe { !may_leave(fiber) } {
        #[cfg(all(feature = "stack-check", not(any(miri, kfiber_threads))))]
        // SAFETY: the caller's promise is what `look_closer` asks for.
        unsafe {
            call_out_of_line!(look_closer, fiber);
        }
    }
}

/// Checks that the stored stack pointer of a fiber that is to run soon lies in its own stack.
/// Otherwise, the fiber ends as soon as it runs.
///
/// This check is made where the loop chooses anew which fiber runs. A switch among fibers of equal
/// priority omits it, because it would cost an eighth of the switch. In that case, the first
/// exception on the invalid stack reveals the fault: its classification examines the same word.
///
/// # Safety
///
/// `fiber` must be alive, and must not be root.
#[inline(always)]
pub(crate) unsafe fn before_running(fiber: *const Header) {
    // SAFETY: the caller's promise.
    if unsafe { !may_run(fiber) } {
        #[cfg(all(feature = "stack-check", not(any(miri, kfiber_threads))))]
        // SAFETY: the caller's promise is what is asked for there.
        unsafe {
            call_out_of_line!(condemn_keeping_registers, fiber);
        }
    }
}

/// Returns whether [`before_leaving`] would find nothing suspicious.
///
/// # Safety
///
/// `fiber` must be the running fiber.
#[inline(always)]
pub(crate) unsafe fn may_leave(fiber: *const Header) -> bool {
    #[cfg(all(feature = "stack-check", not(any(miri, kfiber_threads))))]
    // SAFETY: it reads the header and the canary of a living fiber, and jumps to the label or goes
    // on after the last line.
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
            unusual = label { return false },
            options(nostack, readonly),
        );
    }
    #[cfg(not(all(feature = "stack-check", not(any(miri, kfiber_threads)))))]
    let _ = fiber;
    true
}

/// Returns whether [`before_running`] would find nothing suspicious.
///
/// # Safety
///
/// `fiber` must be alive, and must not be root.
#[inline(always)]
pub(crate) unsafe fn may_run(fiber: *const Header) -> bool {
    #[cfg(all(feature = "stack-check", not(any(miri, kfiber_threads))))]
    // SAFETY: it reads the header of a living fiber, and jumps to the label or goes on after the
    // last line.
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
            elsewhere = label { return false },
            options(nostack, readonly),
        );
    }
    #[cfg(not(all(feature = "stack-check", not(any(miri, kfiber_threads)))))]
    let _ = fiber;
    true
}

/// Switches to the stack of root, below what is stored there, and calls [`judge`] to decide.
/// Returns if the fiber is intact, with all registers preserved except rax and rcx.
///
/// # Safety
///
/// The requirements of [`before_leaving`] apply.
#[cfg(not(any(miri, kfiber_threads)))]
#[unsafe(naked)]
unsafe extern "sysv64" fn look_closer(fiber: *const Header) {
    naked_asm!(
        ".cfi_startproc",
        entry!(),
        "mov rax, rsp",
        "mov rcx, [rdi + {run_loop}]",
        "mov rsp, [rcx + {root_sp}]",
        "add rsp, -128", // where there is a red zone; adding takes three bytes less
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
        "push rax", // for the alignment
        "mov rsi, rax",
        "mov rdx, rbp",
        "call {judge}",
        "pop rax",
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

/// Calls [`condemn`] with all registers preserved except rax and rcx.
///
/// # Safety
///
/// The requirements of [`before_running`] apply.
#[cfg(not(any(miri, kfiber_threads)))]
#[unsafe(naked)]
unsafe extern "sysv64" fn condemn_keeping_registers(fiber: *const Header) {
    naked_asm!(
        ".cfi_startproc",
        entry!(),
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
        "push rax", // for the alignment
        "call {condemn}",
        "pop rax",
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
