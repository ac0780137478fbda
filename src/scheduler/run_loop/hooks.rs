//! The hooks of a loop: set once, told without a lock.

use super::RunLoop;
use crate::scheduler::cpu::current;
use crate::scheduler::graph::deadlock::{AfterDeadlock, Deadlock};
use crate::scheduler::report::failure::{Failure, FiberFailed};
use crate::scheduler::report::hooks::{Hooks, HooksAlreadySet, Report};

impl RunLoop {
    /// Remembers the hooks; the first ones stay.
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

    /// Tells the hooks, if there are any. Takes no lock. What the report lends does not change meanwhile, since waiting is
    /// forbidden.
    #[cold]
    #[inline(never)]
    pub(crate) fn report(&self, report: &Report<'_>) {
        if let Some(hooks) = self.hooks.get() {
            current::without_waiting(|| hooks.report(report));
        }
    }

    /// Reports the failure of a fiber, if it is news: an overflow was reported when it was noticed.
    pub(crate) fn report_failure(&self, failed: &FiberFailed) {
        if !matches!(failed.failure, Failure::Overflowed(_)) {
            self.report(&Report::FiberFailed(failed));
        }
    }

    /// Asks the hooks, as [`report`](Self::report) tells them.
    pub(crate) fn ask_after(&self, deadlock: &Deadlock<'_>) -> AfterDeadlock {
        self.hooks.get().map_or(AfterDeadlock::Panic, |hooks| {
            current::without_waiting(|| hooks.deadlocked(deadlock))
        })
    }
}
