//! A fiber that does not let others run, as data and as text.

use super::backtrace::Backtrace;
use super::registers::Registers;
use crate::platform::{Core, Nanoseconds};
use crate::scheduler::graph::wait_graph_text::{Seconds, Who};
use crate::scheduler::task::header::Header;
use crate::scheduler::task::id::FiberId;
#[cfg(feature = "smp")]
use crate::scheduler::task::wait::WaitReason;
use crate::stack::StackBounds;
use core::fmt;

/// A fiber that cannot go on because another one does not let others run: see
/// [`SoftLockup::delayed`].
#[cfg(feature = "smp")]
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DelayedFiber {
    /// The id of the fiber.
    pub id: FiberId,
    /// The name of the fiber, or an empty string if it has none.
    pub name: &'static str,
    /// The core of the fiber.
    pub core: Core,
    /// What the fiber waits for, which the other one has, or has to do, perhaps through further
    /// fibers. It is `None` if the fiber is ready on the core of the other one.
    pub reason: Option<WaitReason>,
}

/// The first of the fibers that another one delays, and the number of the rest.
#[cfg(feature = "smp")]
#[derive(Clone, Copy, Default)]
pub(crate) struct Delayed {
    known: [Option<DelayedFiber>; 8],
    others: usize,
}

#[cfg(feature = "smp")]
impl Delayed {
    pub(crate) fn add(&mut self, fiber: DelayedFiber) {
        match self.known.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(fiber),
            None => self.others += 1,
        }
    }
}

/// A fiber that does not let others run. This is data, which can be kept.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct SoftLockup {
    /// The id of the fiber.
    pub id: FiberId,
    /// The name of the fiber, or an empty string if it has none.
    pub name: &'static str,
    /// The core on which the fiber runs.
    pub core: Core,
    /// The least time for which the fiber has run: since the first tick that found it running.
    pub runs_for: Nanoseconds,
    /// The registers of the code that was interrupted, perhaps those of a handler that had
    /// interrupted the fiber.
    pub interrupted: Registers,
    /// The bounds of the fiber's stack.
    pub stack: StackBounds,
    /// Whether the scheduler has several cores.
    is_one_of_several: bool,
    #[cfg(feature = "smp")]
    delayed: Delayed,
    calls: Backtrace,
}

impl SoftLockup {
    /// # Safety
    ///
    /// The fiber is running on this core.
    pub(crate) unsafe fn new(
        fiber: *const Header,
        (core, cores): (Core, usize),
        runs_for: Nanoseconds,
        interrupted: Registers,
    ) -> Self {
        // SAFETY: the caller's promise.
        let header = unsafe { &*fiber };
        // SAFETY: the header is of a cell that has a fiber.
        let stack = unsafe { Header::stack(fiber) };
        Self {
            // SAFETY: it is alive.
            id: unsafe { FiberId::of(fiber) },
            name: header.name(),
            core,
            runs_for,
            interrupted,
            stack,
            is_one_of_several: cores > 1,
            #[cfg(feature = "smp")]
            delayed: Delayed::default(),
            // SAFETY: it is a cell's, of the fiber that was interrupted here.
            calls: unsafe { Backtrace::take(stack, interrupted.rbp) },
        }
    }

    /// Adds the fibers that wait for this one.
    #[cfg(feature = "smp")]
    pub(crate) const fn set_delayed(&mut self, delayed: Delayed) {
        self.delayed = delayed;
    }

    /// Returns up to eight of the fibers that cannot go on before this one: those that wait for what
    /// it has or for its end, on any core and perhaps through others, and those that are ready on its
    /// core.
    #[cfg(feature = "smp")]
    pub fn delayed(&self) -> impl Iterator<Item = DelayedFiber> {
        self.delayed.known.into_iter().flatten()
    }

    /// Returns the number of further such fibers.
    #[cfg(feature = "smp")]
    #[must_use]
    pub const fn others_delayed(&self) -> usize {
        self.delayed.others
    }

    /// Returns the return addresses of the innermost 16 calls when the report was made, the
    /// innermost first. They are found by a walk along rbp. If the code has no frame pointers there
    /// are none; start an unwinder with [`interrupted`](Self::interrupted) instead.
    #[must_use]
    pub fn backtrace(&self) -> &[u64] {
        self.calls.as_slice()
    }
}

impl fmt::Display for SoftLockup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (who, time) = (Who(self.id, self.name), Seconds(self.runs_for));
        let rip = self.interrupted.rip;
        writeln!(
            f,
            "soft lockup: {who} has run for {time} without letting others run"
        )?;
        write!(f, "  it is at {rip:#x}")?;
        if self.is_one_of_several {
            write!(f, " on core {}", self.core.0)?;
        }
        for address in self.backtrace() {
            write!(f, "\n  called from {address:#x}")?;
        }
        #[cfg(feature = "smp")]
        for fiber in self.delayed() {
            let who = Who(fiber.id, fiber.name);
            let why = if fiber.reason.is_some() {
                "waits for it"
            } else {
                "is ready behind it"
            };
            write!(f, "\n  {who} on core {} {why}", fiber.core.0)?;
        }
        #[cfg(feature = "smp")]
        if self.others_delayed() > 0 {
            write!(f, "\n  and {} others", self.others_delayed())?;
        }
        write!(
            f,
            "\n  call `yield_now` in its loops, or do the work in smaller pieces"
        )
    }
}
