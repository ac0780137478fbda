//! The atomic types that the lock-free code uses: those of `core`, or those of loom, which tries
//! all interleavings.

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
