//! What a loop has to do with time: the clock, and what timer interrupts ask of it.

use super::run_loop::RunLoop;
use crate::platform::Nanoseconds;
use core::sync::atomic::Ordering;

impl RunLoop {
    /// The time. It is remembered, so that what needs no exact time need not ask the platform.
    pub(crate) fn look_at_clock(&self) -> Nanoseconds {
        let now = self.platform().now();
        self.has_seen(now);
        now
    }

    /// Somebody who knows the time says so.
    pub(super) fn has_seen(&self, now: Nanoseconds) {
        self.last_look.store(now, Ordering::Relaxed);
    }

    /// What the clock said when the loop last looked.
    #[inline(always)]
    pub(crate) fn last_look(&self) -> Nanoseconds {
        self.last_look.load(Ordering::Relaxed)
    }

    /// Has the sleep queue looked at soon. Wait-free.
    pub(crate) fn timer_interrupt(&self) {
        // Root in its own inbox is the sign. Its state keeps it from being there twice.
        if self.root.state.request_timer_check() {
            self.post_root();
        }
    }

    /// Leaves a note that is gone once a fiber has yielded or waited.
    pub(super) fn leave_note(&self) {
        if self.root.state.leave_note() {
            self.post_root();
        }
    }

    /// Whether a fiber has yielded or waited since the last note.
    pub(super) fn has_read_note(&self) -> bool {
        self.root.state.has_read_note()
    }

    fn post_root(&self) {
        // SAFETY: root is as static as the loop, and is in no inbox: the request was the first.
        unsafe { self.inbox.push(&raw const self.root) };
        self.forbid_fast_yields();
        if let Some(platform) = self.platform.get() {
            platform.kick();
        }
    }
}
