//! What [`preempt`](super::preempt) does, as one piece of assembly with the switch at its end, for the
//! bare machine with one core.
//!
//! The time from an interrupt to the fiber that it has woken matters to kernels. The compiler would
//! take more instructions: what is found here would go to the caller, which switches, through registers
//! that must be saved for it.
//!
//! ```text
//!   yield ── not fast ──► yield_at_once ── one fiber in the inbox, of a higher level ──► that fiber
//!                            │
//!                            ├── anything else ──► next_after_look ──► the fiber that it returns
//!                            └── nobody else is ready ──► back to the yield
//! ```
//!
//! An interrupt may come between any two instructions, and its handler may put another fiber into the
//! inbox. The one `cmpxchg` finds that. Nothing is changed before it but the mask, and that is undone.

use super::RunLoop;
use crate::context::Context;
use crate::context::x86_64::switch_tail;
use crate::scheduler::cpu::current::word;
use crate::scheduler::cpu::fast::{ALLOWED, words};
use crate::scheduler::lock_free::state::FROM_INBOX;
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
        mov r9, [rax + {own} + {sp}]
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
        "jmp 7f /* {bottom} {canary_at} {canary} */"
    };
}

#[cfg(not(feature = "stack-check"))]
const CANARY: u32 = 0;
#[cfg(not(feature = "stack-check"))]
const CANARY_TOP_AT: usize = 0;

impl RunLoop {
    /// Runs the next fiber in place of `prev`, which yields where a yield cannot be fast. Returns when
    /// `prev` runs again. There is never a fiber to which the caller has to switch.
    ///
    /// # Safety
    ///
    /// `prev` must be the running fiber of a loop, and the caller must be the owner (**R1**).
    #[inline(always)]
    pub(super) unsafe fn yield_with_a_look(prev: *const Header) -> Option<*const Header> {
        // SAFETY: the caller's promise is what `yield_at_once` asks for. Every register is saved by
        // the switch or declared as clobbered.
        unsafe {
            asm!(
                "call {yield_at_once}",
                yield_at_once = sym yield_at_once,
                inout("rsi") prev => _,
                lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
                clobber_abi("sysv64"),
            );
        }
        None
    }
}

/// Continues another fiber in place of the running one, which is in rsi. It returns when that runs
/// again, or at once if nobody else is ready.
///
/// It preserves rbp and rbx, as a switch does, and no other register.
///
/// # Safety
///
/// The requirements of [`RunLoop::yield_with_a_look`] apply.
#[unsafe(naked)]
unsafe extern "sysv64" fn yield_at_once() {
    // The fiber in the inbox is in rax, its ring in r8 and its level in rcx. The loop is in rdi, and
    // the ring of the running fiber in rdx. The comments name the invariants of `RunLoop`.
    naked_asm!(
        ".cfi_startproc",
        "push rsi", // so that the stack is aligned, too
        ".cfi_adjust_cfa_offset 8",
        "mov rdi, [rsi + {run_loop}]", // R1: we are the owner
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
        "call {next_after_look}",
        "mov rsi, [rsp]",
        "cmp rax, rsi",
        "jne 6f",
        "jmp 5f",
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
        // The switch, as in `context`.
        "mov r10, rax",
        "lea rax, [rip + 2f]",
        "mov [rsi + {own} + {sp}],  rsp",
        "mov [rsi + {own} + {rbp}], rbp",
        "mov [rsi + {own} + {rbx}], rbx",
        "mov [rsi + {own} + {ip}],  rax",
        "jmp {switch_tail}",
        "2: endbr64",
        "5:",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "ret",
        ".cfi_endproc",
        run_loop = const Header::RUN_LOOP_AT,
        inbox = const offset_of!(RunLoop, inbox),
        link = const Header::LINK_AT,
        level = const offset_of!(Header, level),
        bottom = const offset_of!(Header, stack_bottom),
        canary_at = const CANARY_TOP_AT,
        canary = const CANARY,
        own = const Header::OWN_AT,
        sp = const Context::SP_AT,
        rbp = const Context::RBP_AT,
        rbx = const Context::RBX_AT,
        ip = const Context::IP_AT,
        state = const offset_of!(Header, state),
        not_from_inbox = const !FROM_INBOX.cast_signed(),
        levels = const offset_of!(RunLoop, ready.levels),
        turns = const Header::TURNS_AT,
        allowed = const ALLOWED,
        mask = sym words::MASK,
        fast_ring = sym words::RING,
        running = sym word::WORD,
        switch_tail = sym switch_tail,
        next_after_look = sym next_after_look,
    )
}

const _: () = assert!(offset_of!(RunLoop, ready.rings) == 0, "rings lie first");

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
