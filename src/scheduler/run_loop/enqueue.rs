//! How a fiber becomes ready: one that is new, or that was woken.

use super::RunLoop;
use crate::atomic::Count as _;
use crate::scheduler::task::header::Header;
#[cfg(not(feature = "smp"))]
use crate::trace::points;
use core::ptr;
use core::sync::atomic::Ordering;

impl RunLoop {
    /// Adds a fiber of this level that was just spawned.
    ///
    /// # Safety
    ///
    /// Header, state and stack are complete, and the fiber is in no queue. The caller is the owner,
    /// and the state says that the fiber is ready.
    #[inline(always)]
    pub(crate) unsafe fn adopt(&self, fiber: *const Header, level: u8) {
        self.team().live.increment(Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { self.enqueue_at(fiber, level.into()) };
    }

    /// Adds a fiber that was just spawned, by anybody.
    ///
    /// # Safety
    ///
    /// The requirements of [`adopt`](Self::adopt) apply, but the caller need not be the owner. Nobody
    /// else knows the fiber yet.
    #[cfg(not(feature = "smp"))]
    #[inline(always)]
    pub(crate) unsafe fn adopt_from_anywhere(&self, fiber: *const Header, level: u8) {
        if self.is_owner() {
            // SAFETY: the caller's promise.
            unsafe { self.adopt(fiber, level) };
        } else {
            // SAFETY: the caller's promise.
            unsafe { self.adopt_from_elsewhere(fiber) };
        }
    }

    /// Adds a fiber that was just spawned by somebody who is not the owner.
    ///
    /// # Safety
    ///
    /// The requirements of [`adopt_from_anywhere`](Self::adopt_from_anywhere) apply.
    #[cfg(not(feature = "smp"))]
    #[cold]
    #[inline(never)]
    unsafe fn adopt_from_elsewhere(&self, fiber: *const Header) {
        self.team().live.increment(Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { (*fiber).state.begin_in_inbox() };
        // SAFETY: the caller's promise.
        unsafe { self.post(fiber) };
    }

    /// Adds a fiber that was just spawned by somebody who is not the owner.
    ///
    /// # Safety
    ///
    /// The requirements of [`adopt`](Self::adopt) apply, but the state says that the fiber waits and
    /// was woken.
    #[cfg(feature = "smp")]
    pub(crate) unsafe fn adopt_from_elsewhere(&self, fiber: *const Header) {
        self.team().live.increment(Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { self.post(fiber) };
    }

    /// Makes a fiber ready, as the last of its level.
    ///
    /// # Safety
    ///
    /// The fiber is alive and in no ring and no inbox. The caller is the owner.
    #[inline]
    pub(super) unsafe fn enqueue(&self, fiber: *const Header) {
        // SAFETY: it is alive.
        let level = unsafe { (*fiber).level() };
        // SAFETY: the caller's promise.
        unsafe { self.enqueue_at(fiber, level) };
    }

    /// Behaves like [`enqueue`](Self::enqueue), for a fiber whose level is known.
    ///
    /// # Safety
    ///
    /// The requirements of [`enqueue`](Self::enqueue) apply.
    #[inline(always)]
    unsafe fn enqueue_at(&self, fiber: *const Header, level: usize) {
        let running = self.fast.ring();
        let ring = self.ready.ring(level);
        if ptr::eq(ring, running) {
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
        if ptr::from_ref(ring) > self.fast.ring() {
            self.fast.leave_ring(); // rings lie in the order of their levels
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
