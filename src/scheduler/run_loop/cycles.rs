//! What a watchdog finds out about the fibers of all cores: cycles of waits that nobody saw close, and
//! who waits for a fiber that does not let others run.
//!
//! A watchdog calls this in a handler, which may have interrupted anything. It therefore owns no loop,
//! not even that of its own core, and [holds](super::hold) whatever it reads.

use super::RunLoop;
use crate::scheduler::graph::deadlock::Deadlock;
use crate::scheduler::graph::marks::is_marked;
use crate::scheduler::graph::needs::Waits;
use crate::scheduler::graph::wait_graph::WaitGraph;
use crate::scheduler::report::hooks::Report;
use crate::scheduler::report::soft_lockup::{Delayed, DelayedFiber};
use crate::scheduler::task::header::Header;
use crate::scheduler::task::id::FiberId;
use core::ptr;

impl RunLoop {
    /// Reports the cycles of waits that were not reported before, unless somebody reports already.
    #[cold]
    #[inline(never)]
    pub(crate) fn report_cycles(&self) {
        let Some(held) = self.try_hold_all(false) else {
            return;
        };
        let waits = self.held_waits(&held, ptr::null());
        loop {
            let graph = WaitGraph::of(waits);
            let Some(cycle) = graph.cycles().find(|cycle| !cycle.is_reported()) else {
                return;
            };
            waits.mark_ways_to(cycle.first);
            cycle.note_report();
            self.report(&Report::Deadlock(&Deadlock::of_cycle(waits, cycle.first)));
        }
    }

    /// Returns the fibers that cannot go on before `hog`, which runs on this core.
    #[cold]
    #[inline(never)]
    pub(crate) fn delayed_by(&self, hog: *const Header) -> Delayed {
        let mut delayed = Delayed::default();
        let Some(held) = self.try_hold_all(true) else {
            return delayed;
        };
        let waits = self.held_waits(&held, hog);
        waits.mark_ways_to(hog);
        for fiber in self.team().all.iter() {
            if let Some(fiber) = self.delay_of(waits, hog, fiber) {
                delayed.add(fiber);
            }
        }
        delayed
    }

    fn delay_of(
        &self,
        waits: Waits<'_>,
        hog: *const Header,
        fiber: *const Header,
    ) -> Option<DelayedFiber> {
        // SAFETY: headers stay readable for good.
        let header = unsafe { &*fiber };
        if ptr::eq(fiber, hog) || header.state.is_finished() {
            return None;
        }
        // SAFETY: a header in the list has had a fiber, so it has a loop.
        let run_loop = unsafe { Self::of(fiber) };
        let reason = if header.state.is_held() {
            let wait = is_marked(fiber).then(|| waits.wait_of(fiber)).flatten()?;
            Some(wait.reason())
        } else {
            // It is ready on this core, since it neither waits nor runs.
            ptr::eq(run_loop, self).then_some(None)?
        };
        Some(DelayedFiber {
            // SAFETY: it is alive, or was a moment ago.
            id: unsafe { FiberId::of(fiber) },
            name: header.name_of_any(),
            core: run_loop.core(),
            reason,
        })
    }
}
