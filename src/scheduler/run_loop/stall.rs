//! The check that a loop makes before it goes idle without a deadline: whether anything can ever
//! wake its fibers.

use super::RunLoop;
#[cfg(feature = "smp")]
use super::hold::Held;
#[cfg(feature = "smp")]
use super::hooks::Reporting;
use crate::platform::Nanoseconds;
use crate::scheduler::cpu::forbid;
#[cfg(feature = "smp")]
use crate::scheduler::graph::needs::Loops;
use crate::scheduler::graph::needs::{Need, Waits};
use crate::scheduler::graph::stall::{AfterStall, Stall, StallKind};
use crate::scheduler::graph::wait_graph::WaitGraph;
use crate::scheduler::report::hooks::Report;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::wait::Wait;
use core::ptr;
use core::sync::atomic::Ordering;

impl RunLoop {
    /// Calls `f` with the wait graph of this loop, and of the fibers that wait in others. Returns `None`
    /// if somebody else runs the loop. No fiber of the graph runs meanwhile.
    #[track_caller]
    pub(crate) fn lend_wait_graph<R>(&self, f: impl FnOnce(&WaitGraph<'_>) -> R) -> Option<R> {
        let _disown = self.own()?;
        #[cfg(not(feature = "smp"))]
        return Some(forbid::without_waiting(|| {
            f(&WaitGraph::of(self.waits(None)))
        }));
        #[cfg(feature = "smp")]
        forbid::while_lent(|| {
            let held = self.hold_others(1 << self.index);
            f(&WaitGraph::of(self.waits_with(&held, None)))
        })
    }

    /// Returns the waits of this loop. The fiber in `about_to_wait` counts as waiting already.
    pub(crate) fn waits<'a>(
        &'a self,
        about_to_wait: Option<(*const Header, &'a Wait)>,
    ) -> Waits<'a> {
        Waits {
            all: &self.team().all,
            #[cfg(not(feature = "smp"))]
            run_loop: self.address(),
            #[cfg(feature = "smp")]
            loops: self.loops(1 << self.index),
            #[cfg(feature = "smp")]
            has_held: false,
            #[cfg(feature = "smp")]
            runs: ptr::null(),
            live: self.team().live.load(Ordering::Relaxed),
            about_to_wait,
        }
    }

    /// Behaves like [`waits`](Self::waits), with the fibers of other loops that are held.
    #[cfg(feature = "smp")]
    pub(crate) fn waits_with<'a>(
        &'a self,
        _held: &'a Held<'_>,
        about_to_wait: Option<(*const Header, &'a Wait)>,
    ) -> Waits<'a> {
        Waits {
            has_held: true,
            ..self.waits(about_to_wait)
        }
    }

    /// Returns the waits of all fibers that are held, for a caller that owns no loop.
    #[cfg(feature = "smp")]
    pub(crate) fn held_waits<'a>(&'a self, _held: &'a Held<'_>, runs: *const Header) -> Waits<'a> {
        Waits {
            has_held: true,
            loops: self.loops(0),
            runs,
            ..self.waits(None)
        }
    }

    #[cfg(feature = "smp")]
    fn loops(&self, set: u64) -> Loops {
        let loops = self.team().loops();
        Loops {
            first: loops.as_ptr().addr(),
            stride: size_of::<Self>(),
            count: loops.len(),
            set,
        }
    }

    /// Returns the waits of all fibers that can run. With several cores they are those of all loops
    /// that run: the caller has begun to look, so it owns them.
    fn all_waits(&self) -> Waits<'_> {
        #[cfg(not(feature = "smp"))]
        return self.waits(None);
        #[cfg(feature = "smp")]
        return Waits {
            loops: self.loops(self.team().roster.runners()),
            ..self.waits(None)
        };
    }

    /// Stores the mark of a stall. Returns whether it was the same before.
    #[cfg(feature = "smp")]
    fn is_same_stall(&self, mark: u64) -> bool {
        self.team().last_stall.swap(mark, Ordering::Relaxed) == mark
    }

    /// Stores the mark of a stall. Returns whether it was the same before.
    #[cfg(not(feature = "smp"))]
    const fn is_same_stall(&self, mark: u64) -> bool {
        self.last_stall.replace(mark) == mark
    }

    /// Handles the case that no fiber is ready and no deadline is pending. Returns whether the loop
    /// should return.
    #[cold]
    #[inline(never)]
    pub(crate) fn all_wait(&self) -> bool {
        // Code outside of fibers may look at them too.
        #[cfg(feature = "smp")]
        let _alone = Reporting::begin(self.team());
        let Some((kind, mark)) = self.stall_kind() else {
            return false;
        };
        // The processor may wake up without a reason. This is still the same stall.
        if kind != StallKind::Idle && self.is_same_stall(mark) {
            return false;
        }
        let stall = Stall {
            graph: WaitGraph::of(self.all_waits()),
            kind,
            lasts_for: 0,
        };
        let hooks = self.team().hooks.get();
        let answer = hooks.map_or_else(|| stall.usual_answer(), |hooks| hooks.stalled(&stall));
        // The text is short, so that a kernel without hooks needs no formatting code for this
        // alone.
        assert!(
            answer != AfterStall::Panic,
            "all fibers of a scheduler wait, and nothing can ever wake them: implement `Hooks::stalled` to be told which fibers wait for what"
        );
        answer == AfterStall::Return
    }

    /// Reports that all fibers have waited for a given time. It is called by the handler of an
    /// interrupt that has interrupted the platform's `idle`, called by this loop. Returns false if
    /// one of the fibers is about to continue.
    #[cold]
    #[inline(never)]
    pub(crate) fn report_idle(&self, lasts_for: Nanoseconds) -> bool {
        // With several cores all of them must be idle.
        #[cfg(feature = "smp")]
        let Some(_alone) = Reporting::try_begin(self.team(), false) else {
            return false;
        };
        #[cfg(feature = "smp")]
        let Some(look) = self.team().look() else {
            return false;
        };
        let stalled = self.stall_kind();
        if let Some((kind, _mark)) = stalled {
            let stall = Stall {
                graph: WaitGraph::of(self.all_waits()),
                kind,
                lasts_for,
            };
            self.report(&Report::Stall(&stall));
        }
        #[cfg(feature = "smp")]
        look.done();
        stalled.is_some()
    }

    /// Returns what can end the waits, and a number that changes with any of them. Returns `None`
    /// if a fiber can run.
    fn stall_kind(&self) -> Option<(StallKind, u64)> {
        let waits = self.all_waits();
        // A fiber may be ready on a core that does not run the scheduler yet.
        #[cfg(feature = "smp")]
        if waits.fibers().count() < waits.live {
            return None;
        }
        let (mut kind, mut mark) = (StallKind::Deadlocked, 1_u64);
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
                Need::Anybody | Need::Clock => kind = StallKind::Idle,
                Need::Fibers if kind == StallKind::Deadlocked => {
                    kind = StallKind::NeedsOtherFibers;
                }
                // A core that has fibers but does not run the scheduler may run it later.
                #[cfg(feature = "smp")]
                Need::Elsewhere(_) if kind == StallKind::Deadlocked => {
                    kind = StallKind::NeedsOtherFibers;
                }
                // All fibers of the loop wait, including the ones that these fibers need, so they
                // are stuck.
                _ => {}
            }
        }
        Some((kind, mark))
    }
}
