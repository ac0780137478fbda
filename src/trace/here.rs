//! The ring of this core. Until a recorder is started it is one that keeps nothing.

use super::ring::{Ring, RingOf};

/// A ring of one event, into which cores write that have no other.
pub(crate) static NOWHERE: RingOf<1> = RingOf::new();

/// Returns the ring of this core.
#[cfg(target_os = "linux")]
#[inline(always)]
pub(crate) fn ring() -> *const Ring {
    thread::RING.get()
}

/// Sets the ring of this core.
#[cfg(target_os = "linux")]
pub(crate) fn set(ring: *const Ring) {
    thread::RING.set(ring);
}

/// On a host each thread has its own.
#[cfg(target_os = "linux")]
mod thread {
    extern crate std;
    use super::{NOWHERE, Ring};
    use core::cell::Cell;

    std::thread_local! {
        pub(super) static RING: Cell<*const Ring> = const { Cell::new(NOWHERE.head()) };
    }
}

/// One core has one word.
#[cfg(not(any(target_os = "linux", feature = "smp")))]
static RING: core::sync::atomic::AtomicPtr<Ring> =
    core::sync::atomic::AtomicPtr::new(NOWHERE.head().cast_mut());

/// Returns the ring of this core.
#[cfg(not(any(target_os = "linux", feature = "smp")))]
#[inline(always)]
pub(crate) fn ring() -> *const Ring {
    RING.load(core::sync::atomic::Ordering::Relaxed)
}

/// Sets the ring of this core.
#[cfg(not(any(target_os = "linux", feature = "smp")))]
pub(crate) fn set(ring: *const Ring) {
    RING.store(ring.cast_mut(), core::sync::atomic::Ordering::Relaxed);
}

/// The offset of the ring's address in the words of a core: see
/// [`CoreLocal`](crate::scheduler::CoreLocal).
#[cfg(all(feature = "smp", not(target_os = "linux")))]
pub(crate) const RING_AT: usize = 40;

/// Returns the ring of this core.
#[cfg(all(feature = "smp", not(target_os = "linux")))]
#[inline(always)]
pub(crate) fn ring() -> *const Ring {
    let ring;
    // SAFETY: the words of a core are there before anything of this crate runs on it.
    unsafe {
        core::arch::asm!(
            ".weak __kfiber_core_at",
            "mov {}, gs:[__kfiber_core_at + {at}]",
            out(reg) ring,
            at = const RING_AT,
            options(readonly, nostack, preserves_flags)
        );
    }
    ring
}

/// Sets the ring of this core.
#[cfg(all(feature = "smp", not(target_os = "linux")))]
pub(crate) fn set(ring: *const Ring) {
    // SAFETY: as above, and nobody but this core uses them.
    unsafe {
        core::arch::asm!(
            ".weak __kfiber_core_at",
            "mov gs:[__kfiber_core_at + {at}], {}",
            in(reg) ring,
            at = const RING_AT,
            options(nostack, preserves_flags)
        );
    }
}
