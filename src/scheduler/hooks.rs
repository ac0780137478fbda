//! Who is told when something goes wrong in a scheduler: the kernel's hooks, and what they are given.

use super::current;
use super::deadlock::{AfterDeadlock, Deadlock};
use super::failure::{Failure, FiberFailed};
use super::overflow::Overflow;
use super::overflow::judge;
use super::run_loop::RunLoop;
use super::stall::{AfterStall, Outlook, Stall};
use super::timer::{self, LateTimer};
use super::watchdog::Hog;
use core::fmt;

/// What a kernel wants to be told by a [`Scheduler`](super::Scheduler): see [`set_hooks`](super::Scheduler::set_hooks).
///
/// The functions are called where things went wrong, perhaps in an exception handler, perhaps with the scheduler's state
/// half-changed. So they must not wait, spawn, nor panic. They may write to a serial port.
///
/// ```
/// use kfiber::scheduler::{Hooks, Report};
///
/// struct Log;
///
/// impl Hooks for Log {
///     fn report(&self, report: &Report<'_>) {
///         println!("{report}"); // in a kernel: to the serial port
///     }
/// }
/// ```
pub trait Hooks: Sync {
    /// Something went wrong. It has a variant for each subject, with all that is known as data, and can be displayed as a few
    /// lines for a person.
    ///
    /// # Context
    ///
    /// Called from: fiber, interrupt, exception handler, scheduler; with interrupts on or off.
    fn report(&self, report: &Report<'_>);

    /// A fiber is about to wait for what it will never get: a circle of waits closes. Called once for each, even while other
    /// fibers go on. (A circle through joins alone is not told: the join that would close it returns
    /// [`JoinErrorKind::Deadlock`](super::JoinErrorKind::Deadlock).)
    ///
    /// Unless it is overridden it reports, and the fiber panics.
    ///
    /// # Context
    ///
    /// Called from: fiber.
    fn deadlocked(&self, deadlock: &Deadlock<'_>) -> AfterDeadlock {
        self.report(&Report::Deadlock(deadlock));
        AfterDeadlock::Panic
    }

    /// All fibers wait, none of them with a deadline. Called each time before the scheduler lets the processor sleep; if no
    /// interrupt handler can end any of the waits, once.
    ///
    /// Unless it is overridden it reports if no interrupt handler can end any of the waits, and the scheduler sleeps; if
    /// nothing else can either, it panics.
    ///
    /// # Context
    ///
    /// Called from: scheduler, with interrupts on.
    fn stalled(&self, stall: &Stall<'_>) -> AfterStall {
        if stall.outlook != Outlook::Possible {
            self.report(&Report::Stall(stall));
        }
        stall.usual_answer()
    }
}

/// Something went wrong: what, who, and where.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Report<'a> {
    /// A fiber panicked or faulted, and has ended. The others go on. (One that overflowed its stack is not reported again when
    /// it ends.)
    FiberFailed(&'a FiberFailed),
    /// A fiber overflowed its stack, or somebody wrote over its control block. It will end.
    Overflow(&'a Overflow),
    /// A fiber is about to wait for ever.
    Deadlock(&'a Deadlock<'a>),
    /// All fibers wait: nothing can wake any of them, or a [`Watchdog`](super::Watchdog) finds that it lasts long.
    Stall(&'a Stall<'a>),
    /// A fiber does not let others run.
    Hog(&'a Hog),
    /// The timer has not interrupted as it was asked to.
    LateTimer(&'a LateTimer),
}

debug_is_display!(Report<'_>);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FiberFailed(failed) => failed.fmt(f),
            Self::Overflow(overflow) => overflow.fmt(f),
            Self::Deadlock(deadlock) => deadlock.fmt(f),
            Self::Stall(stall) => stall.fmt(f),
            Self::Hog(hog) => hog.fmt(f),
            Self::LateTimer(timer) => timer.fmt(f),
        }
    }
}

/// A scheduler keeps the hooks that it was given first; these were not taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HooksAlreadySet;

debug_is_display!(HooksAlreadySet);

impl fmt::Display for HooksAlreadySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the scheduler has hooks already, and keeps them: set them once, before fibers run",
        )
    }
}

impl core::error::Error for HooksAlreadySet {}

impl RunLoop {
    /// Remembers the hooks; the first ones stay.
    pub(crate) fn set_hooks(&self, hooks: &'static dyn Hooks) -> Result<(), HooksAlreadySet> {
        let mut is_first = false;
        self.hooks.call_once(|| {
            is_first = true;
            hooks
        });
        judge::report_from_here_on();
        timer::report_from_here_on();
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
    pub(super) fn report_failure(&self, failed: &FiberFailed) {
        if !matches!(failed.failure, Failure::Overflowed(_)) {
            self.report(&Report::FiberFailed(failed));
        }
    }

    /// Asks the hooks, as [`report`](Self::report) tells them.
    pub(super) fn ask_after(&self, deadlock: &Deadlock<'_>) -> AfterDeadlock {
        self.hooks.get().map_or(AfterDeadlock::Panic, |hooks| {
            current::without_waiting(|| hooks.deadlocked(deadlock))
        })
    }
}
