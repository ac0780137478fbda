//! What a loop has to do with time: the clock, and what timer interrupts ask of it.

use super::RunLoop;
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::cpu::current;
use crate::scheduler::report::hooks::Report;
use crate::scheduler::report::late_timer::LateTimer;
use core::sync::atomic::Ordering;
use spin::Once;

/// What looks for a timer that does not come.
struct TimerWatch {
    look: fn(&RunLoop, Nanoseconds),
    note: fn(&RunLoop, Nanoseconds),
}

/// In kernels with hooks. The others have nothing of it in their text.
static TIMER_WATCH: Once<TimerWatch> = Once::new();

/// From here on a timer that does not come is reported.
pub(crate) fn watch_timers_from_here_on() {
    TIMER_WATCH.call_once(|| TimerWatch {
        look: RunLoop::look,
        note: RunLoop::note,
    });
}

impl RunLoop {
    /// The time. It is remembered, so that what needs no exact time need not ask the platform.
    pub(crate) fn look_at_clock(&self) -> Nanoseconds {
        let now = self.platform().now();
        self.has_seen(now);
        now
    }

    /// Somebody who knows the time says so.
    pub(crate) fn has_seen(&self, now: Nanoseconds) {
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
    pub(crate) fn leave_note(&self) {
        if self.root.state.leave_note() {
            self.post_root();
        }
    }

    /// Whether a fiber has yielded or waited since the last note.
    pub(crate) fn has_read_note(&self) -> bool {
        self.root.state.has_read_note()
    }

    /// Has the platform interrupt at this time.
    pub(crate) fn set_timer(&self, deadline: Nanoseconds) {
        self.timer.store(deadline, Ordering::Relaxed);
        if self.late_since.load(Ordering::Relaxed) != NEVER {
            self.late_since.store(0, Ordering::Relaxed);
        }
        self.platform().set_timer(deadline);
    }

    /// Lets the processor sleep, with interrupts off until it does. A handler that comes meanwhile may look at the fibers: all
    /// of them wait.
    pub(crate) fn idle(&self) {
        self.idle_on.store(current::this_core(), Ordering::Relaxed);
        self.platform().idle();
        self.idle_on.store(0, Ordering::Relaxed);
    }

    /// Whether this code has interrupted the platform's `idle`, called by this loop.
    pub(crate) fn is_idle_here(&self) -> bool {
        self.idle_on.load(Ordering::Relaxed) == current::this_core()
    }

    /// Somebody knows the time: has the timer interrupted as it was asked to?
    pub(crate) fn check_timer(&self, now: Nanoseconds) {
        if let Some(watch) = TIMER_WATCH.get() {
            (watch.look)(self, now);
        }
    }

    /// The loop itself has found that a deadline has passed.
    pub(crate) fn note_deadline_without_interrupt(&self, deadline: Nanoseconds) {
        if let Some(watch) = TIMER_WATCH.get() {
            (watch.note)(self, deadline);
        }
    }

    /// A machine that is interrupted itself may lose some time between the clock and the timer, so a timer that is late counts
    /// only if it is still late after the limit has passed again.
    fn look(&self, now: Nanoseconds) {
        let deadline = self.timer.load(Ordering::Relaxed);
        if now <= deadline || !self.is_late(deadline, now) {
            return;
        }
        match self.late_since.load(Ordering::Relaxed) {
            0 => self.late_since.store(now, Ordering::Relaxed),
            since if self.is_late(since, now) => self.report_late_timer(deadline, now),
            _ => {}
        }
    }

    fn note(&self, deadline: Nanoseconds) {
        let now = self.last_look();
        if self.is_late(deadline, now) {
            self.report_late_timer(deadline, now);
        }
    }

    /// Whether so much time has passed since then, without a call of `timer_interrupt` that was not heeded yet.
    fn is_late(&self, since: Nanoseconds, now: Nanoseconds) -> bool {
        let limit = self
            .platform
            .get()
            .map_or(NEVER, |platform| platform.late_timer_limit());
        now.saturating_sub(since) > limit && !self.root.state.has_timer_request()
    }

    #[cold]
    #[inline(never)]
    fn report_late_timer(&self, deadline: Nanoseconds, now: Nanoseconds) {
        if self.has_hooks() && self.late_since.swap(NEVER, Ordering::Relaxed) != NEVER {
            self.report(&Report::LateTimer(&LateTimer { deadline, now }));
        }
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
