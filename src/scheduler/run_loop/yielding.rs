//! A yield: the switch from a fiber that stays ready.
//!
//! A yield with nothing special to do takes a handful of instructions. Anything else, such as
//! fibers in the inbox, a higher level or a hook, is signalled to it by one word, the mask of
//! [`fast`](crate::scheduler::cpu::fast). While that allows it, the next fiber is taken from the ring
//! of the running one without further checks.

use super::RunLoop;
use super::stack_check::before_leaving;
use crate::scheduler::cpu::fast::FastYields;
use crate::scheduler::cpu::{misuse, yielding};
use crate::scheduler::task::header::Header;
use core::ptr;

impl RunLoop {
    /// Runs the next fiber of the same level, or one of a higher level if there is one, in place of
    /// the running one.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn yield_now() {
        let (flags, prev) = yielding::yielding_fiber();
        // SAFETY: it comes from there.
        let fast = unsafe { Self::fast_of(prev) };
        let next = if fast.are_allowed_with(flags) {
            // Waiting is allowed, so `prev` runs, and the caller is the owner (R1).
            // SAFETY: R3: `prev` is the first of its ring, and alive.
            let next = unsafe { (*prev).next() };
            if ptr::eq(next, prev) {
                return;
            }
            // SAFETY: it runs, and its turn is not over yet.
            unsafe { before_leaving(prev) };
            // SAFETY: R4: fast yields are allowed, so there is one.
            let ring = unsafe { &*fast.ring() };
            // SAFETY: R4: `prev` is its first.
            unsafe { ring.rotate(prev) };
            // SAFETY: R2: the next in the ring is alive, and ready.
            unsafe { Self::set_running(next) };
            next
        } else {
            if !yielding::may_yield(flags, prev) {
                misuse::may_not_wait();
            }
            // SAFETY: it may yield, so it runs, and the caller is the owner (R1).
            let Some(next) = (unsafe { Self::yield_with_a_look(prev) }) else {
                return;
            };
            next
        };
        // SAFETY: R2.
        unsafe { Self::switch(prev, next) };
    }

    /// Returns what says whether yields of a fiber are fast.
    ///
    /// # Safety
    ///
    /// `fiber` must come from [`yielding::yielding_fiber`].
    #[cfg(not(any(feature = "smp", target_os = "linux")))]
    #[inline(always)]
    const unsafe fn fast_of(_fiber: *const Header) -> &'static FastYields {
        &FastYields // of the core
    }

    /// Returns what says whether yields of a fiber are fast.
    ///
    /// # Safety
    ///
    /// `fiber` must come from [`yielding::yielding_fiber`].
    #[cfg(any(feature = "smp", target_os = "linux"))]
    #[inline(always)]
    unsafe fn fast_of(fiber: *const Header) -> &'static FastYields {
        // SAFETY: it runs, or was interrupted.
        &unsafe { Self::of(fiber) }.fast
    }

    /// Returns the next fiber after a yield that finds something in the inbox, a change of level,
    /// or a hook. The fiber is recorded as running. It may be `prev`.
    ///
    /// # Safety
    ///
    /// `prev` must be the running fiber of this loop, and the caller must be the owner (**R1**).
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn next_after_look(&self, prev: *const Header) -> *const Header {
        // SAFETY: it runs, and its turn is not over yet.
        unsafe { before_leaving(prev) };
        if !self.inbox.is_empty() {
            // SAFETY: the caller is the owner.
            unsafe { self.drain_aside() };
        }
        #[cfg(feature = "smp")]
        // SAFETY: as above, and `prev` runs.
        unsafe {
            self.share(prev, true);
        }
        // SAFETY: R3.
        unsafe { self.ready.rotate(prev) };
        // SAFETY: the running fiber is ready, so the queue is not empty; the caller is the owner.
        unsafe { self.announce_first(prev, prev) }
    }
}
