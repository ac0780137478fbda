//! The hooks of a loop, which are set once and called without a lock.

use super::RunLoop;
#[cfg(feature = "smp")]
use super::team::Team;
use crate::platform::SwitchHook;
use crate::scheduler::cpu::no_unwind::NoUnwind;
use crate::scheduler::cpu::{current, forbid};
use crate::scheduler::graph::deadlock::{AfterDeadlock, Deadlock};
use crate::scheduler::report::failure::{Failure, FiberFailed};
use crate::scheduler::report::hooks::{Hooks, HooksAlreadySet, Report};
use crate::scheduler::task::header::Header;
#[cfg(feature = "smp")]
use core::sync::atomic::Ordering;

impl RunLoop {
    /// Sets the hooks, unless hooks were set before.
    pub(crate) fn set_hooks(&self, hooks: &'static dyn Hooks) -> Result<(), HooksAlreadySet> {
        let is_first = self.team().hooks.set(hooks);
        is_first.then_some(()).ok_or(HooksAlreadySet)
    }

    pub(crate) fn has_hooks(&self) -> bool {
        self.team().hooks.is_set()
    }

    /// Calls the hooks with a report, if there are any. No lock is taken. What the report borrows
    /// does not change meanwhile, because waiting is forbidden.
    #[cold]
    #[inline(never)]
    pub(crate) fn report(&self, report: &Report<'_>) {
        if let Some(hooks) = self.team().hooks.get() {
            #[cfg(feature = "smp")]
            let _alone = Reporting::begin(self.team());
            forbid::without_waiting(|| hooks.report(report));
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
        self.team()
            .hooks
            .get()
            .map_or(AfterDeadlock::Panic, |hooks| {
                #[cfg(feature = "smp")]
                let _alone = Reporting::begin(self.team());
                forbid::without_waiting(|| hooks.deadlocked(deadlock))
            })
    }
}

/// Keeps the reports of other cores out until it is dropped, so that two reports do not mix. A core
/// that reports may report again, from a handler that interrupts it.
#[cfg(feature = "smp")]
pub(super) struct Reporting<'a>(Option<&'a Team>);

#[cfg(feature = "smp")]
impl<'a> Reporting<'a> {
    pub(super) fn begin(team: &'a Team) -> Self {
        let this_core = current::this_core();
        loop {
            match team
                .reporter
                .compare_exchange(0, this_core, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return Self(Some(team)),
                Err(core) if core == this_core => return Self(None),
                Err(_) => crate::atomic::spin_loop(),
            }
        }
    }

    /// Returns `None` if this core reports already, and if another one does, unless `patiently`.
    pub(super) fn try_begin(team: &'a Team, patiently: bool) -> Option<Self> {
        if !patiently && team.reporter.load(Ordering::Relaxed) != 0 {
            return None;
        }
        let alone = Self::begin(team);
        alone.0.is_some().then_some(alone)
    }
}

#[cfg(feature = "smp")]
impl Drop for Reporting<'_> {
    fn drop(&mut self) {
        if let Some(team) = self.0 {
            team.reporter.store(0, Ordering::Release);
        }
    }
}

/// Calls a switch hook, in the middle of a switch from `prev` to `next`. A null pointer means root.
#[inline(always)]
pub(super) fn call_hook(hook: SwitchHook, prev: *const Header, next: *const Header) {
    let no_unwind = NoUnwind::begin(
        "a switch hook panicked: it runs in the middle of a switch, and must neither wait nor panic",
    );
    current::enter_switch_hook(prev);
    hook(prev.cast(), next.cast());
    no_unwind.done();
}
