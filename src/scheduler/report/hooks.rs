//! The kernel's hooks, which are called when something goes wrong in a scheduler, and the reports
//! they are given.

use super::failure::FiberFailed;
use super::late_timer::LateTimer;
use super::overflow::Overflow;
use super::soft_lockup::SoftLockup;
use crate::scheduler::graph::deadlock::{AfterDeadlock, Deadlock};
use crate::scheduler::graph::stall::{AfterStall, Stall, StallKind};
use core::fmt;

/// The functions that a [`Scheduler`](crate::scheduler::Scheduler) calls when something goes wrong:
/// see [`set_hooks`](crate::scheduler::Scheduler::set_hooks).
///
/// The functions are called where the problem occurs, perhaps in an exception handler, and perhaps
/// while the scheduler's state is half-changed. They must therefore not wait, spawn or panic. They
/// may write to a serial port.
///
/// With several cores, only one of them is in a hook at a time, and fibers of others that a deadlock or a
/// soft lockup is about may be kept from going on meanwhile. A hook must therefore not wait for another
/// core either.
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
    /// Called when something went wrong. The report has a variant for each subject, with all that
    /// is known as data. It can be displayed as a few lines for a person.
    ///
    /// # Context
    ///
    /// Called from: fiber, interrupt, exception handler, scheduler; with interrupts on or off.
    fn report(&self, report: &Report<'_>);

    /// Called when a fiber is about to wait for something that it will never get, because its wait
    /// would close a cycle of waits. It is called once for each cycle, even while other fibers
    /// continue. (It is not called for a cycle of joins alone: the join that would close it returns
    /// [`JoinErrorKind::Deadlock`](crate::scheduler::JoinErrorKind::Deadlock).)
    ///
    /// The default implementation reports the deadlock, and the fiber panics.
    ///
    /// # Context
    ///
    /// Called from: fiber.
    fn deadlocked(&self, deadlock: &Deadlock<'_>) -> AfterDeadlock {
        self.report(&Report::Deadlock(deadlock));
        AfterDeadlock::Panic
    }

    /// Called when all fibers wait, none of them with a deadline, each time before the scheduler
    /// lets the processor sleep. If no interrupt handler can end any of the waits, it is called
    /// once.
    ///
    /// If no interrupt handler can end any of the waits, the default implementation reports the
    /// stall. If nothing else can end one either, the scheduler panics; otherwise it sleeps.
    ///
    /// # Context
    ///
    /// Called from: scheduler, with interrupts on.
    fn stalled(&self, stall: &Stall<'_>) -> AfterStall {
        if stall.kind != StallKind::Idle {
            self.report(&Report::Stall(stall));
        }
        stall.usual_answer()
    }
}

/// A report of something that went wrong: what, who, and where.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Report<'a> {
    /// A fiber panicked or faulted, and has ended. The others go on. (A fiber that overflowed its
    /// stack is not reported again when it ends.)
    FiberFailed(&'a FiberFailed),
    /// A fiber overflowed its stack, or its control block was overwritten. The fiber will end.
    Overflow(&'a Overflow),
    /// A fiber is about to wait for ever. With several cores, a
    /// [`Watchdog`](crate::scheduler::Watchdog) also reports fibers that wait for each other already.
    Deadlock(&'a Deadlock<'a>),
    /// All fibers wait. Either nothing can wake any of them, or a
    /// [`Watchdog`](crate::scheduler::Watchdog) found that this has lasted long.
    Stall(&'a Stall<'a>),
    /// A fiber does not let others run.
    SoftLockup(&'a SoftLockup),
    /// The timer has not interrupted at the deadline to which it was set.
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
            Self::SoftLockup(lockup) => lockup.fmt(f),
            Self::LateTimer(timer) => timer.fmt(f),
        }
    }
}

/// The error of `set_hooks`. A scheduler keeps the hooks that it was given first, and did not take
/// these.
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
