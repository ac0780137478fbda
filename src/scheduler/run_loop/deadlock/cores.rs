//! The check for a deadlock where a scheduler has several cores: the chain of waits may lead through
//! fibers of other cores.
//!
//! The chain is first followed within the loop, as on one core. If it leads to a fiber of another core
//! that waits, that fiber is held for a moment, then the next, which costs a few instructions for
//! each. Only if the chain leads back, all fibers are [held](super::super::hold), and the cycle is
//! looked for again, since it may have been open when the first of them were seen.
//!
//! A fiber that is about to wait is not seen by another core before it waits. If the fibers of two
//! cores close a cycle at the same moment, neither may see the other. Such a cycle is found by a
//! [`Watchdog`](crate::scheduler::Watchdog), or when all cores sleep. The same goes for a scope or a
//! writer that is the last to wait, and needs a fiber of another core.

use super::super::RunLoop;
use super::super::hooks::Reporting;
use crate::platform::Nanoseconds;
use crate::scheduler::graph::deadlock::{AfterDeadlock, Deadlock, Way};
use crate::scheduler::graph::needs::Waits;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::wait::{Kind, Wait};
use core::fmt;
use core::panic::Location;
use core::ptr;
use core::sync::atomic::Ordering;

/// The number of fibers of other cores that are held one by one. Of a longer chain all are held.
const LONGEST: usize = 8;

/// A wait that the running fiber is about to begin.
#[derive(Clone, Copy)]
pub(super) struct Planned {
    pub(super) run_loop: &'static RunLoop,
    pub(super) fiber: *const Header,
    pub(super) kind: &'static Kind,
    pub(super) object: *const (),
    pub(super) place: &'static Location<'static>,
    pub(super) since: Nanoseconds,
}

impl Planned {
    const fn wait(&self) -> Wait {
        Wait::new(self.kind, self.object, self.place, self.since)
    }

    /// Returns whether a longer look is worth it.
    #[inline(never)]
    pub(super) fn may_close_a_cycle(&self) -> bool {
        let wait = self.wait();
        let waits = self.run_loop.waits(Some((self.fiber, &wait)));
        match Deadlock::way(&waits, self.fiber, self.fiber) {
            Way::Nowhere => false,
            Way::Back | Way::Ended => true,
            Way::Elsewhere(next) => is_parked(next) && self.leads_back(waits, next),
        }
    }

    /// Follows the chain of waits from a fiber of another core.
    #[cold]
    #[inline(never)]
    fn leads_back(&self, waits: Waits<'_>, first: *const Header) -> bool {
        let team = self.run_loop.team();
        let _alone = Reporting::begin(team);
        if team.is_holding.load(Ordering::Relaxed) {
            return true; // within a look of this core: all of them are held
        }
        let waits = Waits {
            has_held: true,
            ..waits
        };
        let mut held = [ptr::null::<Header>(); LONGEST];
        let mut at = first;
        let mut leads_back = true;
        for place in &mut held {
            // SAFETY: headers stay readable for good.
            if !unsafe { (*at).state.hold_waiting() } {
                leads_back = false; // it runs, or is about to
                break;
            }
            *place = at;
            match Deadlock::way(&waits, at, self.fiber) {
                Way::Elsewhere(next) => at = next,
                way => {
                    leads_back = matches!(way, Way::Back);
                    break;
                }
            }
        }
        for fiber in held.into_iter().filter(|fiber| !fiber.is_null()) {
            // SAFETY: headers stay readable for good.
            unsafe { (*fiber).state.release() };
        }
        leads_back
    }

    /// Calls `f` with the deadlock that the wait completes, if there is one. All that wait are held.
    #[inline(never)]
    pub(super) fn with_deadlock<R>(&self, f: impl FnOnce(&Deadlock<'_>) -> R) -> Option<R> {
        let wait = self.wait();
        let held = self.run_loop.hold_others(1 << self.run_loop.index);
        let about_to_wait = Some((self.fiber, &wait));
        let waits = self.run_loop.waits_with(&held, about_to_wait);
        Deadlock::of(waits, self.fiber).map(|deadlock| f(&deadlock))
    }

    /// Asks the hooks about the deadlock that the wait completes, if there is one.
    pub(super) fn ask(&self) -> AfterDeadlock {
        let ask = |deadlock: &Deadlock<'_>| {
            let answer = self.run_loop.ask_after(deadlock);
            if answer == AfterDeadlock::Wait {
                deadlock.note_report();
            }
            answer
        };
        self.with_deadlock(ask).unwrap_or(AfterDeadlock::Wait)
    }
}

/// Prints the deadlock. It is looked for anew, because nobody is held any more when a panic's message
/// is printed.
impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_deadlock(|deadlock| fmt::Display::fmt(deadlock, f))
            .unwrap_or_else(|| {
                f.write_str("deadlock: fibers waited for each other, until another one ended it")
            })
    }
}

fn is_parked(fiber: *const Header) -> bool {
    // SAFETY: headers stay readable for good.
    unsafe { (*fiber).state.is_parked() }
}
