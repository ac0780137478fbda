//! The critical section: one lock for the whole kernel, which a core may enter again.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use critical_section::RawRestoreState;
use kfiber::sync::{IrqMutex, IrqMutexGuard};

/// The lock. The core that holds it is the one that is in a critical section.
static SECTION: IrqMutex<()> = IrqMutex::new(());

/// The guard of [`SECTION`].
///
/// - **C1**: it is initialised while a core is in a critical section, from its outermost `acquire`
///   to the matching `release`, and only that core accesses it.
static GUARD: Guard = Guard(UnsafeCell::new(MaybeUninit::uninit()));

struct Guard(UnsafeCell<MaybeUninit<IrqMutexGuard<'static, ()>>>);

// SAFETY: C1.
unsafe impl Sync for Guard {}

/// The implementation: interrupts are off, and no other core is in a critical section.
///
/// It is an [`IrqMutex`] that the core that holds it may lock again. Code in a critical section
/// must therefore not wait: kfiber panics if it does, and if a fiber ends in one. A panic or a fault
/// in a critical section ends the kernel and not just the fiber, as always when interrupts are off.
///
/// Register it in the kernel by [`critical_section::set_impl!`].
///
/// # Context
///
/// Callable from: fiber, interrupt, scheduler, any core. Blocks: the core, while another core is in
/// a critical section.
#[derive(Debug)]
pub struct InterruptsOff(());

// SAFETY: between the outermost `acquire` and its `release` this core holds `SECTION`. No other
// core does so meanwhile, and no interrupt arrives. Locking acquires, and unlocking releases.
unsafe impl critical_section::Impl for InterruptsOff {
    /// Returns whether this is the outermost critical section of the core.
    #[inline]
    unsafe fn acquire() -> RawRestoreState {
        if SECTION.is_held_by_this_core() {
            return false;
        }
        let guard = SECTION.lock();
        // SAFETY: C1: this core is in a critical section now, and nobody else accesses the guard.
        let place = unsafe { &mut *GUARD.0.get() };
        place.write(guard);
        true
    }

    #[inline]
    unsafe fn release(is_outermost: RawRestoreState) {
        if is_outermost {
            // SAFETY: C1: this core is in a critical section still, and nobody else accesses the guard.
            let guard = unsafe { &mut *GUARD.0.get() };
            // SAFETY: C1: `acquire` wrote it, and by the caller's promise this is the matching call.
            unsafe { guard.assume_init_drop() };
        }
    }
}
