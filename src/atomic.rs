//! The atomic types that the lock-free code uses: those of `core`, or those of loom, which tries
//! all interleavings. And the cache lines in which they lie.

#[cfg(not(loom))]
pub(crate) use core::hint::spin_loop;
#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
#[cfg(loom)]
pub(crate) use loom::hint::spin_loop;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// Keeps the atomic accesses before it from being reordered with those after it, on one side of a
/// handshake in which each side writes and then reads what the other has written.
///
/// The accesses around it are sequentially consistent, which says the same to the compiler, and on
/// x86 the write before it is an exchange, which is the barrier. Loom knows of sequential
/// consistency only what this fence says.
#[cfg(loom)]
pub(crate) fn full_barrier() {
    loom::sync::atomic::fence(Ordering::SeqCst);
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
