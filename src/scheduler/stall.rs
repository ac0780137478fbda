//! Nothing can run: what a loop that is about to sleep without a deadline finds out, and what the kernel makes of it.

use super::hooks::Report;
use super::needs::Need;
use super::run_loop::RunLoop;
use super::wait_graph::WaitGraph;
use super::wait_graph_text::Seconds;
use crate::platform::Nanoseconds;
use core::fmt;
use core::ptr;

/// All fibers of a scheduler wait, none with a deadline.
#[non_exhaustive]
pub struct Stall<'a> {
    /// The fibers that wait, which are all.
    pub graph: WaitGraph<'a>,
    /// Whether one of them can go on some time.
    pub outlook: Outlook,
    /// For how long all have waited: what a [`Watchdog`](super::Watchdog) has seen, otherwise 0.
    pub lasts_for: Nanoseconds,
}

/// Whether fibers that all wait can go on some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// At least one waits for what an interrupt handler can give, or another core: a kernel with nothing to do.
    Possible,
    /// All wait for what only fibers can give, but perhaps a fiber of another scheduler, or one that an interrupt handler
    /// makes: for the others at a barrier, for a lock that another scheduler's fiber has, or that several read.
    OnlyByOtherFibers,
    /// Each waits for one that waits itself, or that has ended. Nothing can wake any of them, but a cancellation.
    Impossible,
}

/// What a scheduler does when all its fibers wait: the answer of [`Hooks::stalled`](super::Hooks::stalled).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterStall {
    /// The processor sleeps until the next interrupt.
    Sleep,
    /// [`run`](super::Scheduler::run) returns, though there are fibers left. It may be called again.
    Return,
    /// [`run`](super::Scheduler::run) panics.
    Panic,
}

impl Stall<'_> {
    /// What is done without hooks, and by those that do not say: a panic if nothing can ever run again, else sleep.
    pub(super) fn usual_answer(&self) -> AfterStall {
        if self.outlook == Outlook::Impossible {
            AfterStall::Panic
        } else {
            AfterStall::Sleep
        }
    }
}

impl RunLoop {
    /// No fiber is ready, and no deadline is to come. Returns whether the loop is to return.
    #[cold]
    #[inline(never)]
    pub(super) fn all_wait(&self) -> bool {
        let Some((outlook, mark)) = self.outlook() else {
            return false;
        };
        // The processor may be woken for nothing. That is the same stall.
        if outlook != Outlook::Possible && self.last_stall.replace(mark) == mark {
            return false;
        }
        let stall = Stall {
            graph: WaitGraph::of(self),
            outlook,
            lasts_for: 0,
        };
        let hooks = self.hooks.get();
        let answer = hooks.map_or_else(|| stall.usual_answer(), |hooks| hooks.stalled(&stall));
        // The text is short so that a kernel without hooks has no formatting in it for this alone.
        assert!(
            answer != AfterStall::Panic,
            "all fibers of a scheduler wait, and nothing can ever wake any: `Hooks::stalled` is told which, and for what"
        );
        answer == AfterStall::Return
    }

    /// For the handler of an interrupt of the platform's `idle`, which this loop has called: reports that all wait, and have
    /// for so long. Returns false if one of them is to go on.
    #[cold]
    #[inline(never)]
    pub(super) fn report_idle(&self, lasts_for: Nanoseconds) -> bool {
        let Some((outlook, _mark)) = self.outlook() else {
            return false;
        };
        let stall = Stall {
            graph: WaitGraph::of(self),
            outlook,
            lasts_for,
        };
        self.report(&Report::Stall(&stall));
        true
    }

    /// What can come, and a number that changes with any of the waits; nothing if a fiber can run after all.
    fn outlook(&self) -> Option<(Outlook, u64)> {
        let waits = WaitGraph::of(self).waits;
        let (mut outlook, mut mark) = (Outlook::Impossible, 1_u64);
        for fiber in waits.fibers() {
            // SAFETY: G1.
            let header = unsafe { &*fiber };
            if !header.state.is_parked() {
                return None; // it was woken, and is on its way
            }
            // SAFETY: it is parked.
            let wait = unsafe { header.waits_for() }?;
            let place = ptr::from_ref(wait).addr() as u64;
            mark = mark.wrapping_add(place).wrapping_add(wait.since);
            match waits.need_of(fiber, wait) {
                Need::Anybody | Need::Clock => outlook = Outlook::Possible,
                Need::Fibers if outlook == Outlook::Impossible => {
                    outlook = Outlook::OnlyByOtherFibers;
                }
                // All fibers of the loop wait, also the ones that these need: they are stuck.
                _ => {}
            }
        }
        Some((outlook, mark))
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
