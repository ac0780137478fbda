//! The instructions of the kernel that every build of the library executes.
//!
//! The crate `x86_64` has them as well, but takes longer to compile than the rest of what this
//! library depends on. It is therefore left to those modules whose functions take its types, which
//! are there with the feature `x86_64`.

use core::arch::asm;

/// The flag of RFLAGS that is set while interrupts are on.
pub(crate) const INTERRUPT_FLAG: u64 = 1 << 9;
/// The flag with which string instructions go downwards.
pub(crate) const DIRECTION_FLAG: u64 = 1 << 10;
/// The flag with which `iret` returns to another task.
pub(crate) const NESTED_TASK: u64 = 1 << 14;
/// The flag with which misaligned accesses of user mode fault, or, with SMAP, the kernel may access
/// memory of user mode.
pub(crate) const ALIGNMENT_CHECK: u64 = 1 << 18;

/// Returns RFLAGS.
#[inline]
pub(crate) fn flags() -> u64 {
    let flags;
    // SAFETY: it reads a register. The compiler knows of the push, since there is no `nostack`.
    unsafe { asm!("pushfq; pop {}", out(reg) flags, options(nomem, preserves_flags)) };
    flags
}

/// Returns `true` if interrupts are on.
#[cfg(not(target_os = "linux"))]
#[inline]
pub(crate) fn are_enabled() -> bool {
    flags() & INTERRUPT_FLAG != 0
}

/// Turns interrupts on. Those that are pending come before the function returns.
#[cfg(not(target_os = "linux"))]
#[inline]
pub(crate) fn enable() {
    // SAFETY: turning interrupts on is safe in a kernel whose handlers are right. Without `nomem` the
    // compiler moves no access to memory across it, as across a release of a lock.
    unsafe { asm!("sti", "nop", options(preserves_flags, nostack)) };
}

/// Turns interrupts off.
#[cfg(not(target_os = "linux"))]
#[inline]
pub(crate) fn disable() {
    // SAFETY: nothing relies on interrupts being on. Without `nomem` the compiler moves no access to
    // memory across it, as across the acquisition of a lock.
    unsafe { asm!("cli", options(preserves_flags, nostack)) };
}

/// Turns interrupts on and sleeps until one has come. None is lost between the two.
#[cfg(not(target_os = "linux"))]
#[inline]
pub(crate) fn enable_and_halt() {
    // SAFETY: as for `enable`.
    unsafe { asm!("sti; hlt", options(nomem, nostack)) };
}

/// Returns the address that the last page fault was about.
#[cfg(not(target_os = "linux"))]
#[inline]
pub(crate) fn page_fault_address() -> u64 {
    let address;
    // SAFETY: it reads a register.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags)) };
    address
}

/// Returns the selector of the code segment in use.
#[cfg(not(target_os = "linux"))]
#[inline]
pub(crate) fn code_segment() -> u16 {
    let selector: u16;
    // SAFETY: it reads a register.
    unsafe { asm!("mov {:x}, cs", out(reg) selector, options(nomem, nostack, preserves_flags)) };
    selector
}
