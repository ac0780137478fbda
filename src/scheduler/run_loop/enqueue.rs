//! How a fiber becomes ready: one that is new, or that was woken.

use super::RunLoop;
use crate::atomic::Count as _;
use crate::scheduler::task::header::Header;
#[cfg(not(feature = "smp"))]
use crate::trace::points;
use core::ptr;
use core::sync::atomic::Ordering;

impl RunLoop {
    /// Adds a fiber that was just spawned.
    ///
    /// # Safety
    ///
    /// Header, state and stack are complete, and the fiber is in no queue. If `is_owner`, the
    /// caller is the owner, and the state says that the fiber is ready. Otherwise the state says
    /// that it waits and was woken.
    #[inline]
    pub(crate) unsafe fn adopt(&self, fiber: *const Header, is_first: bool, is_owner: bool) {
        self.team().live.increment(Ordering::Relaxed);
        if is_first {
            // SAFETY: the caller's promise; a cell's header stays for good.
            unsafe { self.team().all.push(fiber) };
        }
        if is_owner {
            // SAFETY: the caller's promise.
            unsafe { self.enqueue(fiber) };
        } else {
            // SAFETY: the caller's promise.
            unsafe { self.post(fiber) };
        }
    }

    /// Makes a fiber ready, as the last of its level.
    ///
    /// # Safety
    ///
    /// The fiber is alive and in no ring and no inbox. The caller is the owner.
    #[inline]
    pub(super) unsafe fn enqueue(&self, fiber: *const Header) {
        let fast_ring = self.fast_ring.load(Ordering::Relaxed).cast_const();
        // SAFETY: it is alive.
        let ring = self.ready.ring(unsafe { (*fiber).level() });
        if ptr::eq(ring, fast_ring) {
            // SAFETY: R4: the running fiber is in this ring. The rest is the caller's promise.
            unsafe { ring.append(fiber) };
            self.ready.one_more();
            #[cfg(feature = "smp")]
            self.offer();
        } else {
            // SAFETY: the caller's promise.
            unsafe { self.enqueue_aside(fiber) };
        }
    }

    /// Does what [`enqueue`](Self::enqueue) does, out of line.
    ///
    /// # Safety
    ///
    /// The requirements of [`enqueue`](Self::enqueue) apply.
    #[cold]
    #[inline(never)]
    unsafe fn enqueue_aside(&self, fiber: *const Header) {
        // SAFETY: the caller's promise.
        unsafe { self.enqueue_at_any_level(fiber) };
    }

    /// Behaves like [`enqueue`](Self::enqueue). It is faster if the level of the fiber is not that
    /// of the running one.
    ///
    /// # Safety
    ///
    /// The requirements of [`enqueue`](Self::enqueue) apply.
    #[inline]
    pub(super) unsafe fn enqueue_at_any_level(&self, fiber: *const Header) {
        // SAFETY: the caller's promise.
        let ring = unsafe { self.ready.push_back(fiber) };
        if ptr::from_ref(ring) > self.fast_ring.load(Ordering::Relaxed).cast_const() {
            self.forbid_fast_yields(); // rings lie in the order of their levels
        }
        #[cfg(feature = "smp")]
        self.offer();
    }

    /// Wakes a fiber of this loop. With several cores the fiber could belong to another by then.
    #[cfg(not(feature = "smp"))]
    ///
    /// # Safety
    ///
    /// The fiber is alive. The caller is the owner.
    #[inline(always)]
    pub(crate) unsafe fn wake_own(&self, fiber: *const Header) {
        // SAFETY: the caller's promise.
        if unsafe { (*fiber).state.wake_as_owner() } {
            // SAFETY: it waited, so it is in no ring, and it was not woken before, so it is in no
            // inbox.
            unsafe { self.enqueue(fiber) };
            points::ready(fiber);
        }
    }
}
