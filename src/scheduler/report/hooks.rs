//! Who is told when something goes wrong in a scheduler: the kernel's hooks, and what they are given.

use super::failure::FiberFailed;
use super::hog::Hog;
use super::late_timer::LateTimer;
use super::overflow::Overflow;
use crate::scheduler::graph::deadlock::{AfterDeadlock, Deadlock};
use crate::scheduler::graph::stall::{AfterStall, Outlook, Stall};
use core::fmt;

/// What a kernel wants to be told by a [`Scheduler`](crate::scheduler::Scheduler): see [`set_hooks`](crate::scheduler::Scheduler::set_hooks).
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
    /// [`JoinErrorKind::Deadlock`](crate::scheduler::JoinErrorKind::Deadlock).)
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
    /// All fibers wait: nothing can wake any of them, or a [`Watchdog`](crate::scheduler::Watchdog) finds that it lasts long.
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
