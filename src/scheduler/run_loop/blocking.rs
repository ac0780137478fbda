//! How a fiber blocks, with or without a deadline, and how those are woken whose deadline has passed.

use super::RunLoop;
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::cpu::current;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::wait::Wait;
use crate::trace::points;
use core::ptr;

impl RunLoop {
    /// Blocks the running fiber, with a record of the wait, until it is woken or the deadline has
    /// passed. Returns at once if the fiber was woken since it last waited, or if it heeds a
    /// cancellation and was cancelled.
    ///
    /// # Safety
    ///
    /// `fiber` must be the running fiber of this loop, and the caller must be the owner. The wait must
    /// stay in place until this returns. If it is one in a line, the pointer must be valid for the
    /// whole place in the line.
    #[inline(always)]
    pub(crate) unsafe fn block_on<const HEEDS_CANCELLATION: bool>(
        &self,
        fiber: *const Header,
        wait: *const Wait,
        deadline: Nanoseconds,
    ) {
        // SAFETY: it runs.
        unsafe { (*fiber).wait.set(wait) };
        if deadline != NEVER {
            self.start_sleeping(fiber, wait, deadline);
        }
        // SAFETY: the caller's promise.
        unsafe { self.block::<HEEDS_CANCELLATION>(fiber) };
        // SAFETY: the caller's promise.
        if deadline != NEVER && unsafe { &*wait }.is_sleeping() {
            // SAFETY: it was inserted, and not removed since.
            unsafe { self.sleepers.remove(wait) };
        }
        // SAFETY: it runs again.
        unsafe { (*fiber).wait.set(ptr::null()) };
    }

    #[cold]
    fn start_sleeping(&self, fiber: *const Header, wait: *const Wait, deadline: Nanoseconds) {
        points::sleep(deadline);
        self.check_timer(self.last_look());
        self.when_due.set(Self::wake_sleepers);
        // SAFETY: the caller takes it out before it goes away.
        unsafe { self.sleepers.insert(wait, fiber, deadline) };
        if self.sleepers.next_deadline() == deadline {
            self.set_timer(deadline);
        }
    }

    /// Wakes all fibers whose deadline has passed.
    ///
    /// The call is indirect, so that a kernel in which no fiber ever has a deadline does not contain
    /// the code of the sleep queue.
    #[inline(always)]
    pub(super) fn may_be_due(&self) {
        self.when_due.get()(self);
    }

    /// Does what [`may_be_due`](Self::may_be_due) does until a fiber has a deadline.
    #[cold]
    pub(super) fn nobody_sleeps(&self) {
        // The inbox may be half emptied.
        current::half_changed(|| self.look_at_clock());
    }

    /// Does what [`may_be_due`](Self::may_be_due) does from then on.
    #[cold]
    fn wake_sleepers(&self) {
        current::half_changed(|| {
            let now = self.look_at_clock();
            while let Some(fiber) = self.sleepers.pop_due(now) {
                // SAFETY: it was in the heap until now, so it still waits, and is alive.
                if unsafe { (*fiber).state.wake_as_owner() } {
                    // SAFETY: it waited; only the owner comes here.
                    unsafe { self.enqueue(fiber) };
                    points::ready(fiber);
                }
            }
            // The deadline may be the same: a timer that interrupted too early must do so again.
            self.set_timer(self.sleepers.next_deadline());
        });
    }
}
