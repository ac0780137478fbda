//! A stall: no fiber can run. The loop describes it before it goes idle without a deadline, and the
//! kernel decides what to do.

use super::wait_graph::WaitGraph;
use super::wait_graph_text::Seconds;
use crate::platform::Nanoseconds;
use core::fmt;

/// A stall: all fibers of a scheduler wait, and none has a deadline.
#[non_exhaustive]
pub struct Stall<'a> {
    /// The waits of all the fibers.
    pub graph: WaitGraph<'a>,
    /// Whether any of the fibers can continue some day.
    pub kind: StallKind,
    /// How long all fibers have waited, as seen by a [`Watchdog`](crate::scheduler::Watchdog). It
    /// is 0 if there is none.
    pub lasts_for: Nanoseconds,
}

/// Whether any fiber can continue when all fibers wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StallKind {
    /// At least one fiber waits for something that an interrupt handler or another core can
    /// provide. The kernel merely has nothing to do.
    Idle,
    /// All fibers wait for something that only fibers can provide, but a fiber of another
    /// scheduler, or a fiber that an interrupt handler spawns, might provide it. Examples are the
    /// other fibers at a barrier, and a lock that a fiber of another scheduler holds.
    NeedsOtherFibers,
    /// Each fiber waits for one that waits itself, or that has ended. Only a cancellation can wake
    /// any of them.
    Deadlocked,
}

/// What a scheduler does when all its fibers wait. It is the answer of
/// [`Hooks::stalled`](crate::scheduler::Hooks::stalled).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterStall {
    /// The processor sleeps until the next interrupt.
    Sleep,
    /// [`run`](crate::scheduler::Scheduler::run) returns although fibers are left. It may be called
    /// again.
    Return,
    /// [`run`](crate::scheduler::Scheduler::run) panics.
    Panic,
}

impl Stall<'_> {
    /// Returns the default answer, for kernels without hooks and for hooks that do not decide: a
    /// panic if no fiber can ever run again, and sleep otherwise.
    pub(crate) fn usual_answer(&self) -> AfterStall {
        if self.kind == StallKind::Deadlocked {
            AfterStall::Panic
        } else {
            AfterStall::Sleep
        }
    }
}

debug_is_display!(Stall<'_>);

impl fmt::Display for Stall<'_> {
    /// Prints `idle for 60.000 s: 2 fibers wait, and interrupts may wake them`, and the graph.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, stuck) = self.graph.counts();
        f.write_str(match self.kind {
            StallKind::Idle => "idle",
            StallKind::NeedsOtherFibers | StallKind::Deadlocked => "stalled",
        })?;
        if self.lasts_for > 0 {
            write!(f, " for {}", Seconds(self.lasts_for))?;
        }
        let (fibers, them) = match all {
            1 => ("fiber waits", "it"),
            _ => ("fibers wait", "them"),
        };
        write!(f, ": {all} {fibers}, ")?;
        match self.kind {
            StallKind::Idle if stuck > 0 => {
                writeln!(f, "{stuck} of them forever; interrupts may wake the others")?;
            }
            StallKind::Idle => writeln!(f, "and interrupts may wake {them}")?,
            StallKind::NeedsOtherFibers => writeln!(
                f,
                "and only a new fiber or one of another scheduler could wake {them}"
            )?,
            StallKind::Deadlocked => writeln!(f, "and nothing can ever wake {them}")?,
        }
        self.graph.fmt(f)
    }
}
