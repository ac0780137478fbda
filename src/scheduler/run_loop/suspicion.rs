//! What happens when a check at a switch finds something suspicious: the code that ends fibers is
//! called, or the kernel panics.

use super::RunLoop;
#[cfg(doc)]
use super::stack_check::{before_leaving, before_running};
use crate::atomic::SetOnce;
use crate::scheduler::queue::all::is_whole;
use crate::scheduler::report::registers::Registers;
use crate::scheduler::task::header::Header;
use crate::stack::is_canary_intact;
use core::ptr;

/// Returns whether the stack pointer that was stored when the fiber last left its stack lies in
/// that stack.
///
/// # Safety
///
/// The header must belong to a cell that has a fiber.
#[cfg(not(target_os = "linux"))]
#[inline(always)]
pub(crate) unsafe fn finds_its_stack(fiber: *const Header) -> bool {
    // SAFETY: the caller's promise. Volatile, for the word may have changed without the compiler's
    // knowledge.
    let sp = unsafe { fiber.byte_add(Header::SP_AT) };
    // SAFETY: as above.
    let sp = unsafe { sp.cast::<*const u8>().read_volatile() };
    // SAFETY: the caller's promise.
    let bottom = unsafe { (*fiber).stack_bottom.get() };
    if sp > bottom && sp <= fiber.cast() {
        return true;
    }
    // SAFETY: the caller's promise.
    unsafe { may_wait_elsewhere(fiber, sp.addr()) }
}

/// Returns whether a stack pointer outside of the fiber's stack may be that of a
/// [`Fiber`](crate::fiber::Fiber) within which the fiber waits. Nothing else is known of such a
/// stack, so only what it cannot be is excluded: what [`may_be_in_a_stack`] excludes, a word of a
/// header that was overwritten, and the memory of a fiber of the scheduler.
///
/// # Safety
///
/// The header must belong to a cell that has a fiber.
pub(crate) unsafe fn may_wait_elsewhere(fiber: *const Header, sp: usize) -> bool {
    // SAFETY: headers stay readable for good.
    let header = unsafe { &*fiber };
    // SAFETY: as above.
    let run_loop = unsafe { RunLoop::of(fiber) };
    let is_outside_of = |other: &Header| {
        let bottom = other.stack_bottom.get().addr();
        !(bottom..=ptr::from_ref(other).addr()).contains(&sp)
    };
    may_be_in_a_stack(sp)
        && is_whole(header)
        && run_loop
            .team()
            .all
            .iter_warily()
            .all(|(other, _)| is_outside_of(other))
}

/// Returns whether an address may be a stack pointer at all.
const fn may_be_in_a_stack(sp: usize) -> bool {
    sp >= LOWEST && sp.is_multiple_of(align_of::<usize>()) && is_canonical(sp)
}

/// Where no stack lies: below it pointers are null, with an offset.
const LOWEST: usize = 0x1_0000;

/// Returns whether the upper 17 bits are equal (Intel SDM, volume 1, 3.3.7.1).
const fn is_canonical(address: usize) -> bool {
    (address.cast_signed() << 16) >> 16 == address.cast_signed()
}

/// Decides whether the fiber that is about to leave has overflowed its stack. Does not return if it
/// has.
///
/// # Safety
///
/// The requirements of [`before_leaving`] apply. `sp` must be the stack pointer of the fiber, and
/// must point to the return address into the fiber's code.
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
    // If the stack pointer is not in the fiber's stack, finding its owner takes a longer search,
    // which a kernel without hooks does not pay for.
    // SAFETY: it runs.
    let stack = unsafe { Header::stack(fiber) };
    // SAFETY: S1, of a cell's stack.
    if !unsafe { is_canary_intact(stack) } {
        nobody_is_told();
    }
}

/// The check that found something wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspicion {
    /// The check of [`before_leaving`].
    Leaving,
    /// The check of [`before_running`].
    Stored,
}

pub(crate) type OnSuspicion = unsafe fn(*const Header, Suspicion, Registers);

/// The function that handles a suspicion in kernels with hooks. Kernels without hooks do not
/// contain its code.
pub(crate) static ON_SUSPICION: SetOnce<OnSuspicion> = SetOnce::new();

/// Handles a stored stack pointer that lies outside of its fiber's stack. Returns if it may be on
/// the stack of a [`Fiber`](crate::fiber::Fiber).
///
/// # Safety
///
/// The requirements of [`before_running`] apply.
#[cfg(not(any(miri, kfiber_threads)))]
pub(crate) unsafe extern "sysv64" fn condemn(fiber: *const Header) {
    // SAFETY: the block is the header's.
    let own = unsafe { (*Header::block(fiber)).own() };
    let Some(on_suspicion) = ON_SUSPICION.get() else {
        // A kernel without hooks does not pay for a longer search.
        if may_be_in_a_stack(own.stack_pointer().addr()) {
            return;
        }
        nobody_is_told();
    };
    let registers = Registers {
        rip: own.instruction_pointer().addr() as u64,
        rsp: own.stack_pointer().addr() as u64,
        rbp: own.frame_pointer().addr() as u64,
    };
    // SAFETY: the caller's promise.
    unsafe { on_suspicion(fiber, Suspicion::Stored, registers) };
}

/// Panics in a kernel without hooks.
#[cold]
#[inline(never)]
fn nobody_is_told() -> ! {
    panic!(
        "a fiber overflowed its stack, or its control block was overwritten: call `Scheduler::set_hooks` to be told which"
    );
}
