//! What is told of a switch before it: to the hook, and to yields, by the words of `fast`.

use super::RunLoop;
use super::hooks::call_hook;
use super::stack_check::before_running;
use crate::scheduler::cpu::current;
use crate::scheduler::queue::ready::Ring;
use crate::scheduler::task::header::Header;
use core::ptr;

impl RunLoop {
    /// Announces the first of the ready fibers as the next to run, after `prev`, and returns it.
    /// `prev` may be the same fiber, or root. `prev_fiber` is null in place of root.
    ///
    /// # Safety
    ///
    /// At least one fiber must be ready, and the caller must be the owner.
    #[inline]
    pub(crate) unsafe fn announce_first(
        &self,
        prev: *const Header,
        prev_fiber: *const Header,
    ) -> *const Header {
        // SAFETY: the caller's promise.
        let next = unsafe { self.ready.first() };
        // SAFETY: R2; `prev` itself, if it is the next, left its stack pointer in its stack the
        // last time.
        unsafe { before_running(next) };
        // SAFETY: it is the first, and the caller is the owner.
        unsafe { self.announce(prev_fiber, next) };
        if !ptr::eq(next, prev) {
            // SAFETY: R2.
            unsafe { Self::set_running(next) };
        }
        next
    }

    /// Announces that root runs next, after `prev`.
    pub(super) fn announce_root(&self, prev: *const Header) {
        debug_assert!(!self.fast.has_ring(), "R4: no fiber runs");
        if let Some(hook) = self.hook.get() {
            call_hook(hook, prev, ptr::null());
        }
        current::set_nobody();
    }

    /// Announces to the hook and to yields that the fiber `next` runs next, after `prev`, which is
    /// null in place of root.
    ///
    /// # Safety
    ///
    /// `next` must be the first of the highest ring, and the caller must be the owner.
    #[inline(always)]
    unsafe fn announce(&self, prev: *const Header, next: *const Header) {
        let Some(hook) = self.hook.get() else {
            // SAFETY: R2.
            let level = unsafe { (*next).level() };
            return self.allow_fast_yields(self.ready.ring(level));
        };
        if !ptr::eq(next, prev) {
            call_hook(hook, prev, next);
        }
    }

    /// Allows yields to take the next fiber of this ring without further checks, until something
    /// else comes up.
    #[inline(always)]
    fn allow_fast_yields(&self, ring: &Ring) {
        self.fast.allow(ring);
        if !self.inbox.is_empty() || self.is_asked() {
            self.fast.forbid();
        }
    }
}
