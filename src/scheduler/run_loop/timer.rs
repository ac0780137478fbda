//! The time of a loop: its clock, and the requests of timer interrupts.

use super::RunLoop;
use crate::atomic::SetOnce;
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::cpu::current;
use crate::scheduler::report::hooks::Report;
use crate::scheduler::report::late_timer::LateTimer;
use crate::trace::points;
use core::sync::atomic::Ordering;

impl RunLoop {
    /// Reads the clock. The result is remembered, so that code which needs no exact time need not
    /// ask the platform.
    pub(crate) fn look_at_clock(&self) -> Nanoseconds {
        let now = current::call_platform(|| self.platform().now());
        self.has_seen(now);
        now
    }

    /// Records the time, for a caller that has read the clock.
    pub(crate) fn has_seen(&self, now: Nanoseconds) {
        self.last_look.store(now, Ordering::Relaxed);
    }

    /// Returns the time at which the loop last read the clock.
    #[inline(always)]
    pub(crate) fn last_look(&self) -> Nanoseconds {
        self.last_look.load(Ordering::Relaxed)
    }

    /// Requests a check of the sleep queue soon. This takes no lock. It retries only if the words
    /// that it changes were changed between two of its instructions.
    pub(crate) fn timer_interrupt(&self) {
        points::timer();
        // Root in its own inbox is the signal. Its state prevents it from being there twice.
        if self.root.state.request_timer_check() {
            self.post_root();
        }
    }

    /// Leaves a note that is removed once a fiber has yielded or waited.
    pub(crate) fn leave_note(&self) {
        if self.root.state.leave_note() {
            self.post_root();
        }
    }

    /// Returns whether a fiber has yielded or waited since the last note.
    pub(crate) fn has_read_note(&self) -> bool {
        self.root.state.has_read_note()
    }

    /// Sets the platform's timer to interrupt at this time.
    pub(crate) fn set_timer(&self, deadline: Nanoseconds) {
        self.timer.store(deadline, Ordering::Relaxed);
        if self.late_since.load(Ordering::Relaxed) != NEVER {
            self.late_since.store(0, Ordering::Relaxed);
        }
        current::call_platform(|| self.platform().set_timer(deadline));
    }

    /// Lets the processor sleep, with interrupts off until it does. An interrupt handler that runs
    /// meanwhile may examine the fibers, because all of them wait.
    pub(crate) fn idle(&self) {
        self.idle_on.store(current::this_core(), Ordering::Relaxed);
        self.platform().idle();
        self.idle_on.store(0, Ordering::Relaxed);
    }

    /// Returns whether this code has interrupted the platform's `idle`, called by this loop.
    pub(crate) fn is_idle_here(&self) -> bool {
        self.idle_on.load(Ordering::Relaxed) == current::this_core()
    }

    /// Checks, at a known time, whether the timer has interrupted as requested.
    pub(crate) fn check_timer(&self, now: Nanoseconds) {
        let deadline = self.timer.load(Ordering::Relaxed);
        if now > deadline
            && let Some(on_late) = ON_LATE.get()
        {
            on_late(self, deadline, false);
        }
    }

    /// Records that the loop itself has found that a deadline has passed.
    pub(crate) fn note_deadline_without_interrupt(&self, deadline: Nanoseconds) {
        if let Some(on_late) = ON_LATE.get() {
            on_late(self, deadline, true);
        }
    }

    /// Asks the loop to look at the levels of its fibers that were changed. This takes no lock.
    #[cfg(feature = "smp")]
    pub(super) fn request_levels(&self) {
        if self.root.state.request_levels() {
            self.post_root();
        }
    }

    fn post_root(&self) {
        // SAFETY: root is as static as the loop, and is in no inbox: the request was the first.
        unsafe { self.inbox.push(&raw const self.root) };
        self.fast.forbid();
        #[cfg(feature = "smp")]
        self.rouse();
        #[cfg(all(target_os = "linux", not(feature = "smp")))]
        self.kick();
    }
}

type OnLate = fn(&RunLoop, deadline: Nanoseconds, is_certain: bool);

/// The function that checks a passed deadline in kernels with hooks. Kernels without hooks do not
/// contain its code.
static ON_LATE: SetOnce<OnLate> = SetOnce::new();

/// Enables reports of late timers from now on.
pub(crate) fn report_from_here_on() {
    ON_LATE.set(on_late);
}

/// Handles a deadline that has passed. Reports it if it passed by more than the limit, and
/// `timer_interrupt` was not called since.
///
/// A machine that is itself interrupted may lose some time between the clock and the timer.
/// Therefore, unless `is_certain`, the timer counts as late only if this is still so after the
/// limit has passed again.
fn on_late(run_loop: &RunLoop, deadline: Nanoseconds, is_certain: bool) {
    let now = run_loop.last_look();
    let limit = current::call_platform(|| run_loop.platform().late_timer_limit());
    let is_late = |since: Nanoseconds| now.saturating_sub(since) > limit;
    if !is_late(deadline) || run_loop.root.state.has_timer_request() {
        return;
    }
    let since = run_loop.late_since.load(Ordering::Relaxed);
    if since == 0 && !is_certain {
        run_loop.late_since.store(now, Ordering::Relaxed);
    } else if since != NEVER && (is_certain || is_late(since)) {
        run_loop.late_since.store(NEVER, Ordering::Relaxed);
        run_loop.report(&Report::LateTimer(&LateTimer { deadline, now }));
    }
}
