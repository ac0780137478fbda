//! Nothing can run: what a loop that is about to sleep without a deadline finds out, and what the kernel makes of it.

use super::wait_graph::WaitGraph;
use super::wait_graph_text::Seconds;
use crate::platform::Nanoseconds;
use core::fmt;

/// All fibers of a scheduler wait, none with a deadline.
#[non_exhaustive]
pub struct Stall<'a> {
    /// The fibers that wait, which are all.
    pub graph: WaitGraph<'a>,
    /// Whether one of them can go on some time.
    pub outlook: Outlook,
    /// For how long all have waited: what a [`Watchdog`](crate::scheduler::Watchdog) has seen, otherwise 0.
    pub lasts_for: Nanoseconds,
}

/// Whether fibers that all wait can go on some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// At least one waits for what an interrupt handler can give, or another core: a kernel with nothing to do.
    Possible,
    /// All wait for what only fibers can give, but perhaps a fiber of another scheduler, or one that an interrupt handler
    /// makes: for the others at a barrier, or for a lock that another scheduler's fiber has.
    OnlyByOtherFibers,
    /// Each waits for one that waits itself, or that has ended. Nothing can wake any of them, but a cancellation.
    Impossible,
}

/// What a scheduler does when all its fibers wait: the answer of [`Hooks::stalled`](crate::scheduler::Hooks::stalled).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterStall {
    /// The processor sleeps until the next interrupt.
    Sleep,
    /// [`run`](crate::scheduler::Scheduler::run) returns, though there are fibers left. It may be called again.
    Return,
    /// [`run`](crate::scheduler::Scheduler::run) panics.
    Panic,
}

impl Stall<'_> {
    /// What is done without hooks, and by those that do not say: a panic if nothing can ever run again, else sleep.
    pub(crate) fn usual_answer(&self) -> AfterStall {
        if self.outlook == Outlook::Impossible {
            AfterStall::Panic
        } else {
            AfterStall::Sleep
        }
    }
}

debug_is_display!(Stall<'_>);

impl fmt::Display for Stall<'_> {
    /// `idle for 60.000 s: 2 fibers wait, and interrupts may wake them`, and the graph.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, stuck) = self.graph.counts();
        f.write_str(match self.outlook {
            Outlook::Possible => "idle",
            Outlook::OnlyByOtherFibers | Outlook::Impossible => "stalled",
        })?;
        if self.lasts_for > 0 {
            write!(f, " for {}", Seconds(self.lasts_for))?;
        }
        let fibers = if all == 1 {
            "fiber waits"
        } else {
            "fibers wait"
        };
        write!(f, ": {all} {fibers}, ")?;
        match self.outlook {
            Outlook::Possible if stuck > 0 => {
                writeln!(f, "{stuck} of them for ever; interrupts may wake others")?;
            }
            Outlook::Possible => writeln!(f, "and interrupts may wake them")?,
            Outlook::OnlyByOtherFibers => writeln!(
                f,
                "and only a new one or one of another scheduler could wake any"
            )?,
            Outlook::Impossible => writeln!(f, "and nothing can ever wake any")?,
        }
        self.graph.fmt(f)
    }
}
