//! What a loop of several does when it finds no fiber: it ends, or asks the others for work, and
//! sleeps.

use super::RunLoop;
use super::team::Team;
use crate::platform::{NEVER, interrupts};
use core::sync::atomic::Ordering;

/// A loop that is in `run`, until this is dropped, also by unwinding.
pub(super) struct Turn<'a> {
    run_loop: &'a RunLoop,
    /// The team's counts when the turn began.
    idle_times: u32,
    stops: u32,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let team = self.run_loop.team();
        // A fiber that has left this loop must not stay in its list.
        // SAFETY: root is the owner.
        unsafe { self.run_loop.take_changed() };
        if let Some(sleeper) = team.roster.leave(self.run_loop.index) {
            team.loops()[sleeper].rouse();
        }
    }
}

impl Turn<'_> {
    /// Returns whether the loop returns from `run`.
    fn is_over(&self, team: &Team, until_idle: bool) -> bool {
        team.live.load(Ordering::SeqCst) == 0
            || team.stops.load(Ordering::SeqCst) != self.stops
            || until_idle && team.idle_times.load(Ordering::SeqCst) != self.idle_times
    }
}

impl RunLoop {
    /// Records that the loop begins to run.
    pub(super) fn begin_turn(&self, until_idle: bool) -> Turn<'_> {
        let team = self.team();
        self.is_until_idle.store(until_idle, Ordering::Relaxed);
        let turn = Turn {
            run_loop: self,
            idle_times: team.idle_times.load(Ordering::SeqCst),
            stops: team.stops.load(Ordering::SeqCst),
        };
        team.roster.enter(self.index);
        team.last_stall.store(0, Ordering::Relaxed);
        turn
    }

    /// Lets the processor sleep, since no fiber is ready. Returns whether the loop returns instead.
    pub(super) fn rest(&self, until_idle: bool, turn: &Turn<'_>) -> bool {
        let team = self.team();
        let has_work = || !self.inbox.is_empty_now() || turn.is_over(team, until_idle);
        let next = self.sleepers.next_deadline();
        if next != self.timer.load(Ordering::Relaxed) {
            // The timer was set for a sleeper that was woken before its deadline, which must not
            // wake the processor any more.
            self.set_timer(next);
        }
        let are_all_idle = team.roster.sleep(self.index);
        if !has_work() && are_all_idle {
            self.all_are_idle(team);
        }
        interrupts::disable();
        // A kick that arrived before interrupts were off has cleared the loop's bit. One that
        // arrives from here on ends the sleep.
        if has_work() || !team.roster.does_sleep(self.index) {
            interrupts::enable();
        } else {
            self.ask_for_work(team);
            self.idle();
        }
        team.roster.awake(self.index);
        turn.is_over(team, until_idle)
    }

    /// Handles the case that all loops sleep, of which this one is the last.
    #[cold]
    fn all_are_idle(&self, team: &Team) {
        team.idle_times.fetch_add(1, Ordering::SeqCst);
        let mut does_anybody_return = false;
        for run_loop in team.loops() {
            if run_loop.is_until_idle.load(Ordering::Relaxed) {
                run_loop.rouse();
                does_anybody_return |= team.roster.does_run(run_loop.index);
            }
        }
        if does_anybody_return {
            return;
        }
        let Some(look) = team.look() else {
            return;
        };
        // T1: we are the owner of all loops that run.
        let has_deadline = team.loops().iter().any(|run_loop| {
            team.roster.does_run(run_loop.index) && run_loop.sleepers.next_deadline() != NEVER
        });
        let do_all_return = !has_deadline && self.all_wait();
        look.done();
        if do_all_return {
            team.stop();
        }
    }
}

impl Team {
    /// Makes the caller the owner of all loops that run, if all of them sleep.
    pub(super) fn look(&self) -> Option<Look<'_>> {
        self.roster.begin_look().then(|| Look {
            team: self,
            is_done: false,
        })
    }

    /// Makes all loops return from `run`.
    fn stop(&self) {
        self.stops.fetch_add(1, Ordering::SeqCst);
        self.rouse_all();
    }
}

/// The ownership of all loops that run, which ends when this is dropped. If that is by unwinding,
/// the other loops return from `run`, since the caller does not go on.
pub(super) struct Look<'a> {
    team: &'a Team,
    is_done: bool,
}

impl Look<'_> {
    /// Ends the look normally.
    pub(super) fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.team.roster.end_look();
        if !self.is_done {
            self.team.stop();
        }
    }
}
