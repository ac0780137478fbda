//! How one core looks at what fibers of other cores wait for: it keeps them from running meanwhile.
//!
//! Only the owner of a loop lets its fibers run, so only the owner knows that the record of a wait
//! stays where it is. Another core can *hold* a fiber that waits, by a bit in its state word. The fiber
//! may be woken then, but its owner waits for the end of the look before it makes the fiber ready.
//! Nothing is asked of the other core, so a look works while a fiber there never lets others run.
//!
//! ```text
//!   core 0: a look                        core 1
//!   1. takes the right to report
//!   2. holds all that wait elsewhere      a fiber that runs or is ready goes on
//!   3. reads what they wait for           wake: the bit, the inbox, as always
//!   4. lets them go                       scheduling point: waits for 4, then goes on
//! ```
//!
//! All of them are held at the same time before the first is looked at. What is read is therefore true
//! of one moment, for all fibers that are held. A lock that a held fiber has stays its own, since only
//! the fiber that has a lock gives it away.
//!
//! - **V1**: only the core that has the right to report holds fibers. While it does, a held fiber does
//!   not run: the record of its wait, what it waits for, and its header stay as they are, except for
//!   what is atomic and for its place in the sleep queue.

use super::RunLoop;
use super::hooks::Reporting;
use super::team::Team;
use crate::scheduler::task::header::Header;
use core::sync::atomic::Ordering;

/// The fibers that are held, which are let go when this is dropped.
pub(crate) struct Held<'a> {
    /// The team, unless a look of the same core around this one holds them.
    team: Option<&'a Team>,
    _alone: Reporting<'a>,
}

impl RunLoop {
    /// Holds all fibers that wait, and whose loops are not in the set of those that the caller owns.
    /// Waits until no other core reports.
    pub(crate) fn hold_others(&self, owned: u64) -> Held<'_> {
        let team = self.team();
        hold(team, Reporting::begin(team), |fiber| {
            !is_in(team, owned, fiber)
        })
    }

    /// Holds all fibers that wait, of all loops, for a handler. Returns `None` if the code that it has
    /// interrupted reports, and if another core does, unless `patiently`.
    pub(crate) fn try_hold_all(&self, patiently: bool) -> Option<Held<'_>> {
        let team = self.team();
        let alone = Reporting::try_begin(team, patiently)?;
        Some(hold(team, alone, |_fiber| true))
    }

    /// Holds one fiber of another loop, if it waits. Waits until no other core reports.
    pub(crate) fn hold_one(&self, fiber: *const Header) -> Held<'_> {
        let team = self.team();
        hold(team, Reporting::begin(team), |it| core::ptr::eq(it, fiber))
    }
}

impl Held<'_> {
    /// Returns whether a fiber of a loop that the caller does not own is held.
    pub(crate) fn has(&self, fiber: *const Header) -> bool {
        // SAFETY: headers stay readable for good. Nobody else holds fibers meanwhile.
        unsafe { (*fiber).state.is_held() }
    }
}

fn hold<'a>(
    team: &'a Team,
    alone: Reporting<'a>,
    is_meant: impl Fn(*const Header) -> bool,
) -> Held<'a> {
    let is_first = !team.is_holding.swap(true, Ordering::Relaxed);
    if is_first {
        for fiber in team.all.iter().filter(|fiber| is_meant(*fiber)) {
            // SAFETY: headers stay readable for good.
            let _waits = unsafe { (*fiber).state.hold_waiting() };
        }
    }
    Held {
        team: is_first.then_some(team),
        _alone: alone,
    }
}

/// Returns whether the loop of a fiber is in a set.
fn is_in(team: &Team, set: u64, fiber: *const Header) -> bool {
    // SAFETY: a header in the list has had a fiber, so it has a loop.
    let run_loop = unsafe { RunLoop::of(fiber) };
    team.has(run_loop.address()) && set >> run_loop.index & 1 != 0
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let Some(team) = self.team else {
            return;
        };
        for fiber in team.all.iter() {
            // SAFETY: headers stay readable for good.
            let state = unsafe { &(*fiber).state };
            if state.is_held() {
                state.release();
            }
        }
        team.is_holding.store(false, Ordering::Relaxed);
    }
}
