//! Calls that notice every register that a callee must preserve and does not.
//!
//! The convention of UEFI preserves rbx, rbp, rdi, rsi and r12 to r15 across a call (UEFI specification, 2.3.4.2). Two of
//! them, rdi and rsi, carry the words of a switch.

use core::arch::naked_asm;

/// Calls `action`, which may switch, with values made from `seed` in all registers that calls preserve.
///
/// # Panics
///
/// If one of them is another afterwards.
pub(crate) fn call(seed: u64, mut action: &mut dyn FnMut()) {
    // SAFETY: `run` gets the pointer that it expects, and keeps to its convention.
    let difference = unsafe { call_with_values(run, &raw mut action, seed) };
    assert_eq!(difference, 0, "a register was not preserved");
}

extern "efiapi" fn run(action: *mut &mut dyn FnMut()) {
    // SAFETY: from `call`, which waits for us.
    let action = unsafe { &mut *action };
    action();
}

/// Returns the bits in which any of the registers differs after the call.
#[unsafe(naked)]
unsafe extern "efiapi" fn call_with_values(
    function: extern "efiapi" fn(*mut &mut dyn FnMut()),
    action: *mut &mut dyn FnMut(),
    seed: u64,
) -> u64 {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push rsi",
        "push rdi",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 40", // the callee's 32 bytes, and the seed
        "mov [rsp + 32], r8",
        "mov rax, rcx",
        "mov rcx, rdx",
        "mov rbx, r8",
        "lea rbp, [r8 + 1]",
        "lea rsi, [r8 + 2]",
        "lea rdi, [r8 + 3]",
        "lea r12, [r8 + 4]",
        "lea r13, [r8 + 5]",
        "lea r14, [r8 + 6]",
        "lea r15, [r8 + 7]",
        "call rax",
        "mov r8, [rsp + 32]",
        "mov rax, rbx",
        "xor rax, r8",
        "lea rcx, [r8 + 1]; xor rcx, rbp; or rax, rcx",
        "lea rcx, [r8 + 2]; xor rcx, rsi; or rax, rcx",
        "lea rcx, [r8 + 3]; xor rcx, rdi; or rax, rcx",
        "lea rcx, [r8 + 4]; xor rcx, r12; or rax, rcx",
        "lea rcx, [r8 + 5]; xor rcx, r13; or rax, rcx",
        "lea rcx, [r8 + 6]; xor rcx, r14; or rax, rcx",
        "lea rcx, [r8 + 7]; xor rcx, r15; or rax, rcx",
        "add rsp, 40",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rdi",
        "pop rsi",
        "pop rbp",
        "pop rbx",
        "ret",
    )
}
