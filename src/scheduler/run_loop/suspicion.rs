//! What a check at a switch does with a fiber that it does not like: it asks whoever ends fibers, or panics.

#[cfg(doc)]
use super::stack_check::{before_leaving, before_running};
use crate::scheduler::report::registers::Registers;
use crate::scheduler::task::header::Header;
use crate::stack::is_canary_intact;
use spin::Once;

/// Says whether the stack pointer that was stored when the fiber last left its stack lies in it.
///
/// # Safety
///
/// The header is a cell's, and has a fiber.
#[inline(always)]
pub(crate) unsafe fn finds_its_stack(fiber: *const Header) -> bool {
    // SAFETY: the caller's promise. Volatile, for the word may have changed without the compiler's knowledge.
    let sp = unsafe { fiber.byte_add(Header::SP_AT) };
    // SAFETY: as above.
    let sp = unsafe { sp.cast::<*const u8>().read_volatile() };
    // SAFETY: the caller's promise.
    let bottom = unsafe { (*fiber).stack_bottom.get() };
    sp > bottom && sp <= fiber.cast()
}

/// Decides whether the fiber that is about to leave has overflowed its stack, and does not return if so.
///
/// # Safety
///
/// As [`before_leaving`]; `sp` is that of the fiber, with the address in its code below it.
pub(crate) unsafe extern "sysv64" fn judge(fiber: *const Header, sp: *const u64, rbp: u64) {
    let registers = Registers {
        // SAFETY: `look_closer` was called there.
        rip: unsafe { sp.read_volatile() },
        rsp: sp.addr() as u64 + 8,
        rbp,
    };
    if let Some(on_suspicion) = ON_SUSPICION.get() {
        // SAFETY: the caller's promise.
        return unsafe { on_suspicion(fiber, Suspicion::Leaving, registers) };
    }
    // Whose a stack pointer is that is not the fiber's takes a longer look than a kernel without hooks pays for.
    // SAFETY: it runs.
    let stack = unsafe { Header::stack(fiber) };
    // SAFETY: S1, of a cell's stack.
    if !unsafe { is_canary_intact(stack) } {
        nobody_is_told();
    }
}

/// Which check found something that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspicion {
    /// [`before_leaving`].
    Leaving,
    /// [`before_running`].
    Stored,
}

pub(crate) type OnSuspicion = unsafe fn(*const Header, Suspicion, Registers);

/// What is done when a check finds something, in kernels with hooks. The others have nothing of it in their text.
pub(crate) static ON_SUSPICION: Once<OnSuspicion> = Once::new();

/// The stack pointer that was stored for a fiber lies outside of its stack.
///
/// # Safety
///
/// As [`before_running`].
#[cfg(not(any(miri, kfiber_threads)))]
pub(crate) unsafe extern "sysv64" fn condemn(fiber: *const Header) {
    let Some(on_suspicion) = ON_SUSPICION.get() else {
        nobody_is_told();
    };
    // SAFETY: the block is the header's.
    let own = unsafe { (*Header::block(fiber)).own() };
    let registers = Registers {
        rip: own.instruction_pointer().addr() as u64,
        rsp: own.stack_pointer().addr() as u64,
        rbp: own.frame_pointer().addr() as u64,
    };
    // SAFETY: the caller's promise.
    unsafe { on_suspicion(fiber, Suspicion::Stored, registers) };
}

/// A kernel without hooks ends here.
#[cold]
#[inline(never)]
fn nobody_is_told() -> ! {
    panic!(
        "a fiber overflowed its stack, or was written over: give the scheduler hooks, and they learn which"
    );
}
