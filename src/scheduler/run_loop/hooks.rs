//! The hooks of a loop, which are set once and called without a lock.

use super::RunLoop;
use crate::scheduler::cpu::current;
use crate::scheduler::graph::deadlock::{AfterDeadlock, Deadlock};
use crate::scheduler::report::failure::{Failure, FiberFailed};
use crate::scheduler::report::hooks::{Hooks, HooksAlreadySet, Report};

impl RunLoop {
    /// Sets the hooks, unless hooks were set before.
    pub(crate) fn set_hooks(&self, hooks: &'static dyn Hooks) -> Result<(), HooksAlreadySet> {
        let mut is_first = false;
        self.hooks.call_once(|| {
            is_first = true;
            hooks
        });
        is_first.then_some(()).ok_or(HooksAlreadySet)
    }

    pub(crate) fn has_hooks(&self) -> bool {
        self.hooks.is_completed()
    }

    /// Calls the hooks with a report, if there are any. No lock is taken. What the report borrows
    /// does not change meanwhile, because waiting is forbidden.
    #[cold]
    #[inline(never)]
    pub(crate) fn report(&self, report: &Report<'_>) {
        if let Some(hooks) = self.hooks.get() {
            current::without_waiting(|| hooks.report(report));
        }
    }

    /// Reports the failure of a fiber, unless it was reported before: an overflow is reported when
    /// it is noticed.
    pub(crate) fn report_failure(&self, failed: &FiberFailed) {
        if !matches!(failed.failure, Failure::Overflowed(_)) {
            self.report(&Report::FiberFailed(failed));
        }
    }

    /// Asks the hooks about a deadlock, under the same conditions as [`report`](Self::report).
    pub(crate) fn ask_after(&self, deadlock: &Deadlock<'_>) -> AfterDeadlock {
        self.hooks.get().map_or(AfterDeadlock::Panic, |hooks| {
            current::without_waiting(|| hooks.deadlocked(deadlock))
        })
    }
}
