//! What a loop of several does when it finds no fiber: it ends, or asks the others for work, looks for
//! a while whether something comes, and sleeps.
//!
//! To wake a core that sleeps takes many times as long as to write what it looks at. Fibers of two
//! cores that wait for each other therefore do not let their cores sleep. While a core looks,
//! interrupts are on, and whoever posts something sends no interrupt, since the core does not sleep.
//! A core looks only while another one is awake.

use super::RunLoop;
use super::team::Team;
use crate::atomic::spin_loop;
use crate::atomic::{Mistake, full_barrier, is_planted};
use crate::platform::{NEVER, interrupts};
use crate::scheduler::lock_free::state::State;
use core::cell::Cell;
use core::sync::atomic::Ordering;

/// How often a fiber that waits, and then the loop that has found nothing, looks whether another core
/// has something for it: for about as long as it takes to send a core an interrupt and to wake it.
const LOOKS: u32 = if cfg!(kfiber_steps) {
    1 // An exploration is to see many that wait.
} else if cfg!(any(miri, kfiber_threads)) {
    4
} else {
    256
};
/// After so many looks the loop asks the others for work. Before, something often comes by itself.
const LOOKS_BEFORE_ASKING: u32 = LOOKS / 4;

/// A loop that is in `run`, until this is dropped, also by unwinding.
pub(super) struct Turn<'a> {
    run_loop: &'a RunLoop,
    /// The team's counts when the turn began, or when the loop went on after all fibers had waited.
    idle_times: Cell<u32>,
    stops: u32,
    has_left: Cell<bool>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.has_left.get() {
            self.leave();
        }
    }
}

impl Turn<'_> {
    fn leave(&self) {
        self.has_left.set(true);
        let team = self.run_loop.team();
        // A fiber that has left this loop must not stay in its list.
        // SAFETY: root is the owner.
        unsafe { self.run_loop.take_changed() };
        if let Some(sleeper) = team.roster.leave(self.run_loop.index) {
            team.loops()[sleeper].rouse();
        }
    }

    /// Leaves, because all fibers waited at some moment. Returns false if one was made ready before the
    /// loop had left: it goes on.
    ///
    /// Whoever posts a fiber does so before or after the loop has left. If before, it is found here.
    fn leaves_while_idle(&self, team: &Team) -> bool {
        self.leave();
        full_barrier();
        if self.run_loop.inbox.is_empty_now() {
            return true;
        }
        team.roster.enter(self.run_loop.index);
        self.has_left.set(false);
        self.idle_times.set(team.idle_times.load(Ordering::SeqCst));
        false
    }

    /// Returns whether the loop returns from `run`.
    fn is_over(&self, team: &Team, until_idle: bool) -> bool {
        team.is_none_left() || self.is_stopped(team) || self.was_idle(team, until_idle)
    }

    /// Returns whether the loop returns because all fibers waited at some moment.
    fn was_idle(&self, team: &Team, until_idle: bool) -> bool {
        until_idle && team.idle_times.load(Ordering::SeqCst) != self.idle_times.get()
    }

    /// Returns whether all loops return, whatever is in their inboxes, although fibers are left.
    fn is_stopped(&self, team: &Team) -> bool {
        team.stops.load(Ordering::SeqCst) != self.stops
    }
}

impl RunLoop {
    /// Records that the loop begins to run.
    pub(super) fn begin_turn(&self, until_idle: bool) -> Turn<'_> {
        let team = self.team();
        self.is_until_idle.store(until_idle, Ordering::Relaxed);
        let turn = Turn {
            run_loop: self,
            idle_times: Cell::new(team.idle_times.load(Ordering::SeqCst)),
            stops: team.stops.load(Ordering::SeqCst),
            has_left: Cell::new(false),
        };
        team.roster.enter(self.index);
        team.last_stall.store(0, Ordering::Relaxed);
        turn
    }

    /// Lets the processor sleep, since no fiber is ready. Returns whether the loop returns instead.
    pub(super) fn rest(&self, until_idle: bool, turn: &Turn<'_>) -> bool {
        let team = self.team();
        if self.is_posted_soon(team) {
            return turn.is_stopped(team);
        }
        let has_work = || !self.inbox.is_empty_now() || turn.is_over(team, until_idle);
        #[cfg(kfiber_steps)]
        let has_early_work = has_work();
        #[cfg(kfiber_steps)]
        let has_work = || {
            if is_planted(Mistake::NoBarrier) {
                has_early_work
            } else {
                has_work()
            }
        };
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
        if !(is_planted(Mistake::NotWithdrawn) && turn.is_over(team, until_idle)) {
            team.roster.awake(self.index);
        }
        let is_none_left = team.is_none_left();
        if is_none_left {
            // The next ones may begin on another thread, and one may be spawned before we return.
            self.place.set(None);
        }
        is_none_left
            || turn.is_stopped(team)
            || turn.was_idle(team, until_idle) && turn.leaves_while_idle(team)
    }

    /// Looks for a while whether the only ready fiber, which is about to wait, is woken, or another one
    /// arrives. Whoever wakes a fiber that does not wait yet need not post it.
    #[inline(never)]
    pub(super) fn linger(&self, state: &State) {
        let team = self.team();
        for _ in 0..LOOKS {
            if state.is_woken() || !self.inbox.is_empty() || self.is_alone(team) {
                return;
            }
            spin_loop();
        }
    }

    /// Asks the others for work, and looks for a while whether something is posted. Returns whether
    /// there is something in the inbox.
    fn is_posted_soon(&self, team: &Team) -> bool {
        let own = 1 << self.index;
        let mut looks = 0;
        let is_posted = loop {
            if !self.inbox.is_empty() {
                break true;
            }
            if looks == LOOKS || self.is_alone(team) {
                break false;
            }
            if looks == LOOKS_BEFORE_ASKING {
                team.lookers.fetch_or(own, Ordering::Relaxed);
                self.ask_for_work(team);
            }
            looks += 1;
            spin_loop();
        };
        if looks > LOOKS_BEFORE_ASKING {
            team.lookers.fetch_and(!own, Ordering::Relaxed);
        }
        is_posted
    }

    /// Returns whether no other loop is awake.
    fn is_alone(&self, team: &Team) -> bool {
        team.roster.awake_ones() & !(1 << self.index) == 0
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
    /// Returns whether all fibers have ended.
    fn is_none_left(&self) -> bool {
        self.live.load(Ordering::SeqCst) == 0
    }

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
