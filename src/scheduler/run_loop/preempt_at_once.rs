//! What [`preempt`](super::preempt) does, as one piece of assembly with the switch at its end, for the
//! bare machine with one core.
//!
//! The way from an interrupt to the fiber that it has woken is one that kernels wait for. Written by
//! the compiler it takes a fifth more: what is found here goes to the caller, which switches, through
//! registers that must be saved for it.
//!
//! ```text
//!   yield ── not fast ──► yield_at_once ── one fiber in the inbox, of a higher level ──► that fiber
//!                            │
//!                            ├── anything else ──► next_after_look ──► the fiber that it returns
//!                            └── may not yield, or nobody else is ready ──► back to the yield
//! ```
//!
//! An interrupt may come between any two instructions, and its handler may put another fiber into the
//! inbox. The one `cmpxchg` finds that. Nothing is changed before it but the mask, and that is undone.

use super::RunLoop;
use crate::context::switch_jumped_to;
use crate::platform::interrupts;
use crate::scheduler::cpu::current::{MAY_NOT_WAIT, word};
use crate::scheduler::cpu::fast::{ALLOWED, words};
use crate::scheduler::lock_free::state::FROM_INBOX;
use crate::scheduler::queue::ready::Ready;
use crate::scheduler::task::header::Header;
#[cfg(feature = "stack-check")]
use crate::stack::{CANARY, CANARY_TOP_AT};
use core::arch::{asm, naked_asm};
use core::mem::offset_of;

/// What `stack_check` checks of the fiber that leaves, and of the one that is to run. Goes on at 7 if both
/// are right. Changes r9.
#[cfg(feature = "stack-check")]
macro_rules! check_both_stacks {
    () => {
        "mov r9, [rsi + {bottom}]
        cmp rsp, r9
        jbe 4f
        cmp dword ptr [r9 + {canary_at}], {canary}
        jne 4f
        mov r9, [rax + {next_sp}]
        cmp r9, [rax + {bottom}]
        jbe 4f
        cmp r9, rax
        jbe 7f"
    };
}
/// Nothing is checked.
#[cfg(not(feature = "stack-check"))]
macro_rules! check_both_stacks {
    () => {
        "jmp 7f /* {bottom} {canary_at} {canary} {next_sp} */"
    };
}

#[cfg(not(feature = "stack-check"))]
const CANARY: u32 = 0;
#[cfg(not(feature = "stack-check"))]
const CANARY_TOP_AT: usize = 0;

impl RunLoop {
    /// Runs the next fiber in place of `prev`, which yields, where a yield cannot be fast. Returns
    /// false if `prev` is not to yield, or if nobody else is ready.
    ///
    /// # Safety
    ///
    /// Both must come from [`yielding_fiber`](crate::scheduler::cpu::yielding::yielding_fiber).
    #[inline(always)]
    pub(super) unsafe fn yield_with_a_look(flags: u32, prev: *const Header) -> bool {
        // SAFETY: the caller's promise is what `yield_at_once` asks for. Every register is saved by
        // the switch or declared as clobbered.
        unsafe {
            asm!(
                "lea r11, [rip + 2f]",
                "jmp {yield_at_once}",
                "endbr64",
                ".byte 0xe9", // a jump, in its long form
                ".long {stays} - . - 4",
                "2: endbr64",
                yield_at_once = sym yield_at_once,
                stays = label { return false },
                inout("edi") flags => _,
                inout("rsi") prev => _,
                lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
                clobber_abi("sysv64"),
            );
        }
        true
    }
}

/// How far before its landing a yield goes on that did not switch.
const STAYS_BEFORE: usize = 9;

/// Continues another fiber in place of the running one, in rsi, or goes on before the landing at r11.
/// The processor's flags are in edi.
///
/// It is entered by a jump, as [`switch_jumped_to`] is, on an aligned stack.
///
/// # Safety
///
/// The requirements of [`RunLoop::yield_with_a_look`] apply.
#[unsafe(naked)]
unsafe extern "sysv64" fn yield_at_once() {
    // The fiber in the inbox is in rax, its ring in r8 and its level in rcx. The loop is in rdi, and
    // the ring of the running fiber in rdx. The comments name the invariants of `RunLoop`.
    naked_asm!(
        ".cfi_startproc simple",
        ".cfi_def_cfa rsp, 0", // the caller is the code that jumped
        ".cfi_register rip, r11",
        "bt edi, {interrupt_flag}", // two bytes less than a test
        "jnc 5f",
        "test sil, {may_not_wait}",
        "jnz 5f",
        "mov rdi, [rsi + {run_loop}]", // R1: it may wait, so it runs, and we are the owner
        "mov rax, [rdi + {inbox}]",
        "test rax, rax",
        "jz 4f",
        "cmp qword ptr [rax + {link}], 0", // R2: it is alive
        "jne 4f",                          // it is not the only one
        "movzx ecx, byte ptr [rax + {level}]",
        "lea r8, [rdi + rcx * 8]",
        "mov rdx, [rip + {fast_ring}]",
        "cmp r8, rdx",
        "jbe 4f", // R4: not above the highest, or there is no ring; never above for root
        check_both_stacks!(),
        "3:",
        "and dword ptr [rip + {mask}], 0",
        "4:",
        "push r11",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rip, 0",
        "push rsi",
        ".cfi_adjust_cfa_offset 8",
        "call {next_after_look}",
        "pop rsi",
        ".cfi_adjust_cfa_offset -8",
        "pop r11",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_register rip, r11",
        "cmp rax, rsi",
        "jne 6f",
        "5:",
        "sub r11, {stays_before}",
        "jmp r11",
        "int3",
        "7:",
        // Before the inbox becomes empty, so that whoever puts something into it afterwards forbids
        // fast yields again.
        "mov dword ptr [rip + {mask}], {allowed}",
        "xor r9d, r9d",
        "cmpxchg [rdi + {inbox}], r9",
        "jne 3b",
        "and qword ptr [rax + {state}], {not_from_inbox}",
        "mov [rdx], rsi",          // R3: the first of its ring becomes the last
        "mov [rax + {link}], rax", // R4: its ring is empty, and it becomes the only one there
        "mov [rip + {fast_ring}], r8",
        "mov [r8], rax",
        "mov edx, 1",
        "shl edx, cl", // a level for each of its bits
        "or [rdi + {levels}], rdx",
        "mov [rip + {running}], rax",
        "6:",
        "inc qword ptr [rsi + {turns}]",
        "jmp {switch}",
        "int3",
        ".cfi_endproc",
        stays_before = const STAYS_BEFORE,
        interrupt_flag = const interrupts::FLAG.trailing_zeros(),
        may_not_wait = const MAY_NOT_WAIT,
        run_loop = const Header::RUN_LOOP_AT,
        inbox = const offset_of!(RunLoop, inbox),
        link = const Header::LINK_AT,
        level = const offset_of!(Header, level),
        bottom = const offset_of!(Header, stack_bottom),
        canary_at = const CANARY_TOP_AT,
        canary = const CANARY,
        next_sp = const Header::SP_AT,
        state = const offset_of!(Header, state),
        not_from_inbox = const !FROM_INBOX.cast_signed(),
        levels = const offset_of!(RunLoop, ready) + Ready::LEVELS_AT,
        turns = const Header::TURNS_AT,
        allowed = const ALLOWED,
        mask = sym words::MASK,
        fast_ring = sym words::RING,
        running = sym word::WORD,
        switch = sym switch_jumped_to,
        next_after_look = sym next_after_look,
    )
}

const _: () = assert!(
    offset_of!(RunLoop, ready) == 0 && Ready::RINGS_AT == 0,
    "rings lie first"
);

/// Calls the method of this name.
///
/// # Safety
///
/// The requirements of [`RunLoop::next_after_look`] apply.
unsafe extern "sysv64" fn next_after_look(
    run_loop: &RunLoop,
    prev: *const Header,
) -> *const Header {
    // SAFETY: the caller's promise.
    unsafe { run_loop.next_after_look(prev) }
}
