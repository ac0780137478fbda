//! Whether a yield may take the next fiber of its ring without checking anything else.
//!
//! Two words say so: see **R4** of [`run_loop`](crate::scheduler::run_loop). The *ring* is that of
//! the running fiber while the loop has no better choice. The *mask* is the interrupt flag while
//! nothing has come up. One test of the mask and the processor's flags therefore answers whether
//! nothing has come up and interrupts are on.
//!
//! On the bare machine with one core, the words are statics, since one loop runs at a time. There
//! the mask also tells that the first word of [`current`](super::current) is the plain address of a
//! fiber, which may wait: whoever forbids waiting moves the bit of the mask away, and moves it back
//! afterwards. Elsewhere each loop has its own words, because other cores and threads write them.

use crate::platform::interrupts;
use crate::scheduler::queue::ready::Ring;
use core::ptr;
use core::sync::atomic::Ordering;

/// The mask, as long as nothing has come up.
pub(crate) const ALLOWED: u32 = interrupts::FLAG;

/// What stands in place of a ring where there is none. Rings lie in the order of their levels, and
/// none is higher than this, so one comparison with the word says that there is one and that another
/// is above it.
#[cfg(not(any(feature = "smp", target_os = "linux")))]
const NO_RING: *mut Ring = ptr::without_provenance_mut(usize::MAX);
/// What stands in place of a ring where there is none.
#[cfg(any(feature = "smp", target_os = "linux"))]
const NO_RING: *mut Ring = ptr::null_mut();

/// The two words; see the [module](self).
#[cfg(any(feature = "smp", target_os = "linux"))]
pub(crate) struct FastYields {
    mask: core::sync::atomic::AtomicU32,
    ring: core::sync::atomic::AtomicPtr<Ring>,
}

/// The two words; see the [module](self).
#[cfg(not(any(feature = "smp", target_os = "linux")))]
pub(crate) struct FastYields;

#[cfg(not(any(feature = "smp", target_os = "linux")))]
pub(crate) mod words {
    use super::{NO_RING, Ring};
    use core::sync::atomic::{AtomicPtr, AtomicU32};

    pub(crate) static MASK: AtomicU32 = AtomicU32::new(0);
    pub(crate) static RING: AtomicPtr<Ring> = AtomicPtr::new(NO_RING);
}

#[cfg(not(any(feature = "smp", target_os = "linux")))]
impl FastYields {
    pub(crate) const fn new() -> Self {
        Self
    }

    #[inline(always)]
    #[expect(clippy::unused_self, reason = "elsewhere each loop has its own")]
    const fn mask(&self) -> &'static core::sync::atomic::AtomicU32 {
        &words::MASK
    }

    #[inline(always)]
    #[expect(clippy::unused_self, reason = "elsewhere each loop has its own")]
    const fn ring_word(&self) -> &'static core::sync::atomic::AtomicPtr<Ring> {
        &words::RING
    }

    /// Returns whether a yield may be fast where the flags are these. They come from
    /// [`interrupts::flags`].
    #[inline(always)]
    #[expect(clippy::unused_self, reason = "elsewhere each loop has its own")]
    pub(crate) fn are_allowed_with(&self, flags: u32) -> bool {
        // The compiler would take one instruction more.
        // SAFETY: it reads a static of ours, and jumps to the label or goes on.
        unsafe {
            core::arch::asm!(
                "test dword ptr [rip + {mask}], {flags:e}",
                "jz {forbidden}",
                mask = sym words::MASK,
                flags = in(reg) flags,
                forbidden = label { return false },
                options(nostack, readonly),
            );
        }
        true
    }

    /// Returns whether nothing has come up. There is a [ring](Self::ring) then.
    #[inline(always)]
    #[expect(clippy::unused_self, reason = "elsewhere each loop has its own")]
    pub(crate) fn are_allowed(&self) -> bool {
        // SAFETY: as above.
        unsafe {
            core::arch::asm!(
                "test dword ptr [rip + {mask}], {allowed}",
                "jz {forbidden}",
                mask = sym words::MASK,
                allowed = const ALLOWED,
                forbidden = label { return false },
                options(nostack, readonly),
            );
        }
        true
    }
}

#[cfg(any(feature = "smp", target_os = "linux"))]
impl FastYields {
    pub(crate) const fn new() -> Self {
        Self {
            mask: core::sync::atomic::AtomicU32::new(0),
            ring: core::sync::atomic::AtomicPtr::new(NO_RING),
        }
    }

    #[inline(always)]
    const fn mask(&self) -> &core::sync::atomic::AtomicU32 {
        &self.mask
    }

    #[inline(always)]
    const fn ring_word(&self) -> &core::sync::atomic::AtomicPtr<Ring> {
        &self.ring
    }

    /// Returns whether a yield may be fast where the flags are these. They come from
    /// [`interrupts::flags`].
    #[inline(always)]
    pub(crate) fn are_allowed_with(&self, flags: u32) -> bool {
        self.mask().load(Ordering::Relaxed) & flags != 0
    }

    /// Returns whether nothing has come up. There is a [ring](Self::ring) then.
    #[inline(always)]
    pub(crate) fn are_allowed(&self) -> bool {
        self.are_allowed_with(ALLOWED)
    }
}

impl FastYields {
    /// Returns the ring of the running fiber, if the loop has no better choice and no hook. Otherwise
    /// returns the address that stands in place of a ring.
    #[inline(always)]
    pub(crate) fn ring(&self) -> *const Ring {
        self.ring_word().load(Ordering::Relaxed)
    }

    /// Returns whether there is such a ring.
    #[inline(always)]
    pub(crate) fn has_ring(&self) -> bool {
        !ptr::eq(self.ring(), NO_RING)
    }

    /// Allows fast yields in this ring, until something comes up. The caller is the owner of the
    /// loop, and looks afterwards whether something came up before.
    #[inline(always)]
    pub(crate) fn allow(&self, ring: &Ring) {
        self.change_ring(ring);
        self.allow_here();
    }

    /// Records the ring of the running fiber, under the same conditions.
    #[inline(always)]
    pub(crate) fn change_ring(&self, ring: &Ring) {
        let ring = ptr::from_ref(ring).cast_mut();
        self.ring_word().store(ring, Ordering::Relaxed);
    }

    /// Behaves like [`allow`](Self::allow), in the ring that was last recorded.
    #[inline(always)]
    pub(crate) fn allow_here(&self) {
        if cfg!(not(any(target_os = "linux", feature = "smp"))) {
            self.mask().store(ALLOWED, Ordering::Relaxed);
            core::sync::atomic::compiler_fence(Ordering::SeqCst);
        } else {
            // Other threads post as well: their writes and the writes of this function must not be
            // reordered.
            self.mask().swap(ALLOWED, Ordering::SeqCst);
        }
    }

    /// Makes the next yield check everything. It may be called from anywhere.
    #[inline(always)]
    pub(crate) fn forbid(&self) {
        // Release: an owner that allows fast yields after this sees what has come up before it.
        self.mask().store(0, Ordering::Release);
    }

    /// Records that the ring of the running fiber may become empty, or is not the highest any more.
    /// The caller is the owner of the loop.
    #[inline(always)]
    pub(crate) fn leave_ring(&self) {
        self.forbid();
        self.ring_word().store(NO_RING, Ordering::Relaxed);
    }
}

/// Makes yields check everything while waiting is forbidden. An interrupt handler may do the same
/// in between, and may [`forbid`](FastYields::forbid) fast yields, so the bit is moved by one
/// instruction.
#[cfg(not(any(feature = "smp", target_os = "linux")))]
#[inline(always)]
pub(super) fn suspend() {
    // SAFETY: it changes a static of ours. The bit goes to where no flag is.
    unsafe {
        core::arch::asm!("shl dword ptr [rip + {}], 16", sym words::MASK, options(nostack));
    }
}

/// Ends what [`suspend`] has begun. Without that it forbids fast yields, which does no harm.
#[cfg(not(any(feature = "smp", target_os = "linux")))]
#[inline(always)]
pub(super) fn resume() {
    // SAFETY: it changes a static of ours.
    unsafe {
        core::arch::asm!("shr dword ptr [rip + {}], 16", sym words::MASK, options(nostack));
    }
}

/// Elsewhere a yield looks whether it may wait.
#[cfg(any(feature = "smp", target_os = "linux"))]
#[inline(always)]
pub(super) const fn suspend() {}
/// See [`suspend`].
#[cfg(any(feature = "smp", target_os = "linux"))]
#[inline(always)]
pub(super) const fn resume() {}
