//! What a yield does that cannot be fast. First comes the shortest way from an interrupt to the fiber
//! that its handler has woken: a yield that finds just one fiber in the inbox, of a higher level than
//! all that are ready.
//!
//! Nothing has to be chosen then, and no list has to be turned round, so this takes a small part of
//! what [`yielding`](super::yielding) does otherwise. Whatever is unusual is left to the code
//! there, which begins anew. The bare machine with one core has all of this as one piece of assembly,
//! in `preempt_at_once`, unless it must record the switch or has control words to exchange.

use super::RunLoop;
#[cfg(not(feature = "smp"))]
use super::stack_check::{may_leave, may_run};
#[cfg(not(feature = "smp"))]
use crate::scheduler::lock_free::inbox::Inbox;
use crate::scheduler::task::header::Header;
use core::ptr;

impl RunLoop {
    /// Returns the fiber to which the caller switches from `prev`, which yields where a yield cannot
    /// be fast. That fiber is recorded as running. Returns `None` if nobody else is ready.
    ///
    /// # Safety
    ///
    /// `prev` must be the running fiber of a loop, and the caller must be the owner (**R1**).
    #[inline(always)]
    pub(super) unsafe fn yield_with_a_look(prev: *const Header) -> Option<*const Header> {
        // SAFETY: the caller's promise.
        let next = unsafe { Self::next_after_yield(prev) };
        (!ptr::eq(next, prev)).then_some(next)
    }

    /// Returns the next fiber, which may be `prev`.
    ///
    /// # Safety
    ///
    /// The requirements of [`yield_with_a_look`](Self::yield_with_a_look) apply.
    #[cold]
    #[inline(never)]
    unsafe fn next_after_yield(prev: *const Header) -> *const Header {
        // SAFETY: it runs.
        let run_loop = unsafe { Self::of(prev) };
        #[cfg(not(feature = "smp"))]
        // SAFETY: the caller's promise.
        if let Some(next) = unsafe { run_loop.preempted_by(prev) } {
            return next;
        }
        // This is the last that is called, so nothing is saved for it.
        // SAFETY: the caller's promise.
        unsafe { run_loop.next_after_look(prev) }
    }

    /// Returns the fiber that runs in place of `prev`, which yields: the only one in the inbox, of a
    /// higher level. It is recorded as running. Returns `None`, with nothing changed, if there is
    /// anything else to look at.
    ///
    /// # Safety
    ///
    /// `prev` must be the running fiber of this loop, and the caller must be the owner (**R1**).
    #[cfg(not(feature = "smp"))]
    #[inline(always)]
    unsafe fn preempted_by(&self, prev: *const Header) -> Option<*const Header> {
        let next = self.inbox.newest();
        // SAFETY: the caller is the owner, and the fiber is in the inbox.
        if next.is_null() || unsafe { !Inbox::older(next).is_null() } || !self.fast.has_ring() {
            return None;
        }
        // SAFETY: R4: it is a ring of this loop's.
        let ring = unsafe { &*self.fast.ring() };
        // SAFETY: R2.
        let level = unsafe { (*next).level() };
        // Root is never taken here, since its level is the lowest.
        // SAFETY: it runs.
        if level <= unsafe { (*prev).level() } {
            return None;
        }
        // Both stacks are examined before anything is changed.
        // SAFETY: one runs, the other is alive.
        if unsafe { !may_leave(prev) } || unsafe { !may_run(next) } {
            return None;
        }
        // Before the inbox becomes empty, so that whoever puts something into it afterwards forbids
        // fast yields again.
        self.fast.allow_here();
        // SAFETY: the caller is the owner.
        if unsafe { !self.inbox.take_from(next) } {
            self.fast.forbid();
            return None;
        }
        // SAFETY: R2.
        unsafe { (*next).state.unpark_from_inbox() };
        // SAFETY: R3.
        unsafe { ring.rotate(prev) };
        // SAFETY: R4: the ring of `prev` is the highest that is not empty.
        let ring = unsafe { self.ready.begin_ring(next, level) };
        self.fast.change_ring(ring);
        // SAFETY: R2.
        unsafe { Self::set_running(next) };
        Some(next)
    }
}
