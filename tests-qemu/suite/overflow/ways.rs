//! Ways to overflow a stack.

use core::{arch::asm, hint::black_box};

/// Calls itself until the stack ends.
#[inline(never)]
pub(super) fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    if depth == u64::MAX {
        return 0;
    }
    recurse(depth + 1) + black_box(frame[3])
}

/// Pushes until the stack ends, word by word, so that nothing below the end is written before the end is.
pub(super) fn push_for_ever() -> ! {
    // SAFETY: the callers overflow a stack on purpose.
    unsafe { asm!("2: push rsp", "jmp 2b", options(noreturn)) }
}

/// Calls itself until the stack pointer is this near to the bottom, then calls `then`.
#[inline(never)]
pub(super) fn recurse_to(bottom: usize, left_bytes: usize, then: &dyn Fn()) -> u64 {
    let frame = black_box([7_u64; 4]);
    if stack_pointer() > bottom + left_bytes {
        return recurse_to(bottom, left_bytes, then) + black_box(frame[3]);
    }
    then();
    black_box(frame[1])
}

/// A frame of twenty kilobytes, which the compiler touches page by page.
#[inline(never)]
pub(super) const fn use_20_kilobytes_at_once() {
    let mut frame = [0x5a_u8; 20_000];
    black_box(&mut frame);
}

/// The stack pointer, about.
pub(super) fn stack_pointer() -> usize {
    let sp: usize;
    // SAFETY: it reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) sp, options(nomem, nostack, preserves_flags)) };
    sp
}

/// Writes one byte, as code does that the compiler knows nothing of.
pub(super) fn write_byte(address: usize, value: u8) {
    // SAFETY: the callers overflow a stack on purpose.
    unsafe { asm!("mov [{}], {}", in(reg) address, in(reg_byte) value, options(nostack)) };
}

/// Runs `f` with the stack pointer at `sp`, as code would that makes a frame without touching it, and comes back.
pub(super) fn jump_to(sp: usize, f: extern "sysv64" fn()) {
    // SAFETY: the callers overflow a stack on purpose. A call clobbers what is declared, and keeps r12.
    unsafe {
        asm!(
            "mov r12, rsp",
            "mov rsp, rdi",
            "call rsi",
            "mov rsp, r12",
            in("rdi") sp & !15,
            in("rsi") f,
            out("r12") _,
            clobber_abi("sysv64"),
        );
    };
}
