//! A timer that has not interrupted as it was asked to, as data and as text.

use crate::platform::Nanoseconds;
use crate::scheduler::graph::wait_graph_text::Seconds;
use core::fmt;

/// A deadline has passed by more than 100 ms (the platform's
/// [`late_timer_limit`](crate::platform::Platform::late_timer_limit)), and nobody has called
/// [`timer_interrupt`](crate::scheduler::Scheduler::timer_interrupt) since. Reported once for each scheduler.
///
/// It is noticed where the clock is looked at anyway: when the scheduler's own loop finds the deadline passed, when a fiber asks
/// for the time or begins to wait with a deadline, and by [`Watchdog::tick`](crate::scheduler::Watchdog::tick). Fibers that do none of
/// these, and a processor that sleeps and is not interrupted, notice nothing.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct LateTimer {
    /// What the timer was set to.
    pub deadline: Nanoseconds,
    /// The time.
    pub now: Nanoseconds,
}

impl fmt::Display for LateTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (deadline, now) = (Seconds(self.deadline), Seconds(self.now));
        write!(
            f,
            "late timer: it was set to t = {deadline}, it is t = {now}, and `timer_interrupt` has not been called\n  \
             check that the handler of the timer's interrupt calls `Scheduler::timer_interrupt`, that the interrupt is not \
             masked, and that the platform's `set_timer` asks for it"
        )
    }
}

debug_is_display!(LateTimer);
