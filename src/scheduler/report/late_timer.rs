//! A timer that has not interrupted at the deadline to which it was set, as data and as text.

use crate::platform::Nanoseconds;
use crate::scheduler::graph::wait_graph_text::Seconds;
use core::fmt;

/// A deadline has passed by more than 100 ms (the platform's
/// [`late_timer_limit`](crate::platform::Platform::late_timer_limit)), and nobody has called
/// [`timer_interrupt`](crate::scheduler::Scheduler::timer_interrupt) since. This is reported once
/// for each scheduler.
///
/// It is noticed where the clock is read anyway: when the scheduler's own loop finds that the
/// deadline has passed, when a fiber asks for the time or begins to wait with a deadline, and in
/// [`Watchdog::tick`](crate::scheduler::Watchdog::tick). It is not noticed while fibers do none of
/// these, or while the processor sleeps without being interrupted. The ready-made timers of
/// `kfiber::hardware` do not let it sleep before their first interrupt, so that a timer which never
/// interrupts is always noticed.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct LateTimer {
    /// The deadline to which the timer was set.
    pub deadline: Nanoseconds,
    /// The time when the report was made.
    pub now: Nanoseconds,
}

impl fmt::Display for LateTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (deadline, now) = (Seconds(self.deadline), Seconds(self.now));
        write!(
            f,
            "late timer: the timer was set to t = {deadline}, it is t = {now} now, and `timer_interrupt` has not been called\n  \
             check that the handler of the timer's interrupt calls `Scheduler::timer_interrupt` and ends the interrupt, that it is not \
             masked, and that the platform's `set_timer` asks for it"
        )
    }
}

debug_is_display!(LateTimer);
