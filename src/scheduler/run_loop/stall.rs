//! A loop that is about to sleep without a deadline looks whether anything can ever wake its fibers.

use super::RunLoop;
use crate::platform::Nanoseconds;
use crate::scheduler::cpu::current;
use crate::scheduler::graph::needs::{Need, Waits};
use crate::scheduler::graph::stall::{AfterStall, Outlook, Stall};
use crate::scheduler::graph::wait_graph::WaitGraph;
use crate::scheduler::report::hooks::Report;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::wait::Wait;
use core::ptr;
use core::sync::atomic::Ordering;

impl RunLoop {
    /// Lends `f` a look at the waits of this loop; nothing if somebody else runs it. No fiber runs meanwhile.
    #[track_caller]
    pub(crate) fn lend_wait_graph<R>(&self, f: impl FnOnce(&WaitGraph<'_>) -> R) -> Option<R> {
        let _disown = self.own()?;
        Some(current::without_waiting(|| {
            f(&WaitGraph::of(self.waits(None)))
        }))
    }

    /// What is looked at to find out who waits for whom; `about_to_wait` is taken to wait already.
    pub(crate) fn waits<'a>(
        &'a self,
        about_to_wait: Option<(*const Header, &'a Wait)>,
    ) -> Waits<'a> {
        Waits {
            all: &self.all,
            run_loop: self.address(),
            live: self.live.load(Ordering::Relaxed),
            about_to_wait,
        }
    }

    /// No fiber is ready, and no deadline is to come. Returns whether the loop is to return.
    #[cold]
    #[inline(never)]
    pub(crate) fn all_wait(&self) -> bool {
        let Some((outlook, mark)) = self.outlook() else {
            return false;
        };
        // The processor may be woken for nothing. That is the same stall.
        if outlook != Outlook::Possible && self.last_stall.replace(mark) == mark {
            return false;
        }
        let stall = Stall {
            graph: WaitGraph::of(self.waits(None)),
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
    pub(crate) fn report_idle(&self, lasts_for: Nanoseconds) -> bool {
        let Some((outlook, _mark)) = self.outlook() else {
            return false;
        };
        let stall = Stall {
            graph: WaitGraph::of(self.waits(None)),
            outlook,
            lasts_for,
        };
        self.report(&Report::Stall(&stall));
        true
    }

    /// What can come, and a number that changes with any of the waits; nothing if a fiber can run after all.
    fn outlook(&self) -> Option<(Outlook, u64)> {
        let waits = self.waits(None);
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
