//! The atomic types for words that cores share: those of `core`, or those for one core only, or those
//! of loom, which tries all interleavings, or those of an exploration. And the cache lines in which
//! they lie.

mod bits;
#[cfg(any(kfiber_steps, all(feature = "smp", not(loom))))]
mod mistake;
#[cfg(all(
    not(target_os = "linux"),
    not(feature = "smp"),
    not(any(loom, miri, kfiber_steps))
))]
mod one_core;
#[cfg(not(loom))]
mod set_once;
#[cfg(kfiber_steps)]
pub mod steps;
#[cfg(all(not(target_os = "linux"), not(feature = "smp")))]
mod when_used;
/// Whether only one core runs code of this crate: see `one_core`.
pub(crate) const IS_ONE_CORE: bool = cfg!(all(
    not(target_os = "linux"),
    not(feature = "smp"),
    not(any(loom, miri, kfiber_steps))
));

/// The types for words whose accesses are no steps of an exploration.
#[cfg(not(loom))]
pub(crate) mod unseen;

#[cfg(not(loom))]
pub(crate) use bits::Count;
pub(crate) use bits::{Bits, Change};
#[cfg(not(any(loom, kfiber_steps)))]
pub(crate) use core::hint::spin_loop;
#[cfg(all(
    not(any(loom, kfiber_steps)),
    any(target_os = "linux", feature = "smp", miri)
))]
pub(crate) use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
#[cfg(loom)]
pub(crate) use loom::hint::spin_loop;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

#[cfg(any(kfiber_steps, all(feature = "smp", not(loom))))]
pub(crate) use mistake::Mistake;
#[cfg(not(loom))]
pub(crate) use set_once::SetOnce;
#[cfg(kfiber_steps)]
pub(crate) use steps::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, is_planted, spin_loop,
};
#[cfg(all(not(target_os = "linux"), not(feature = "smp")))]
pub(crate) use when_used::WhenUsed;
#[cfg(all(
    not(target_os = "linux"),
    not(feature = "smp"),
    not(any(loom, miri, kfiber_steps))
))]
pub(crate) use {
    core::sync::atomic::{AtomicBool, Ordering},
    one_core::{AtomicPtr, AtomicU64, AtomicUsize},
};

/// Returns whether an exploration has planted this mistake.
#[cfg(all(feature = "smp", not(any(loom, kfiber_steps))))]
#[inline(always)]
pub(crate) const fn is_planted(_mistake: Mistake) -> bool {
    false
}

/// What a lock of the crate `spin` does while another core holds it.
#[cfg(all(feature = "smp", not(loom)))]
pub(crate) enum Spin {}

#[cfg(all(feature = "smp", not(loom)))]
impl spin::RelaxStrategy for Spin {
    #[inline(always)]
    fn relax() {
        spin_loop();
    }
}

/// Keeps the atomic accesses before it from being reordered with those after it, on one side of a
/// handshake in which each side writes and then reads what the other has written.
///
/// The accesses around it are sequentially consistent, which says the same to the compiler, and on
/// x86 the write before it is an exchange, which is the barrier. Loom knows of sequential
/// consistency only what this fence says.
#[cfg(loom)]
pub(crate) fn full_barrier() {
    if !planted::NO_BARRIER.get() {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }
}

/// What a model leaves out, to see that it matters.
#[cfg(loom)]
pub(crate) mod planted {
    extern crate std;

    use core::cell::Cell;

    // All threads of a model share a thread of the host.
    std::thread_local! {
        pub(crate) static NO_BARRIER: Cell<bool> = const { Cell::new(false) };
    }
}

#[cfg(all(feature = "smp", not(loom)))]
#[inline(always)]
pub(crate) const fn full_barrier() {}

/// Ends a cache line in a structure, so that what follows is not in a line that other cores write.
#[cfg(all(feature = "smp", not(loom)))]
#[repr(align(64))]
pub(crate) struct NextLine;

/// Has the core fetch the cache line of this address for writing. If another core has written it last,
/// to read the line first and to write it then would fetch it twice.
#[cfg(all(feature = "smp", not(loom)))]
#[inline(always)]
pub(crate) fn expect_to_write<T>(address: *const T) {
    #[cfg(not(miri))]
    // SAFETY: it is a hint, and does nothing if the address is wrong.
    unsafe {
        core::arch::asm!("prefetchw [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(miri)]
    let _hint = address;
}
