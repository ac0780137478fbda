//! On which core a new fiber begins.

use super::RunLoop;
use crate::scheduler::cpu::current;

impl RunLoop {
    /// Returns the loop of the core on which the caller runs.
    pub(crate) fn here(&self) -> &'static Self {
        let team = self.team();
        let loops = team.loops();
        let entered = current::run_loop_address();
        if let Some(of_fiber) = loops.iter().find(|it| core::ptr::eq(it.address(), entered)) {
            return of_fiber;
        }
        // Outside of fibers the platform knows.
        let crate::platform::Core(index) = self.platform().core();
        loops.get(index).unwrap_or(&loops[0])
    }

    /// Returns the loop in which a new fiber begins that is not pinned: that of the caller, unless
    /// the caller is a fiber, so that it is busy, and another one sleeps.
    pub(crate) fn place_for_new(&self) -> &'static Self {
        let (team, here) = (self.team(), self.here());
        let is_free = !here.is_entered() && team.roster.does_run(here.index);
        if is_free {
            return here;
        }
        if let Some(sleeper) = here.next_in(team.hungry_ones()) {
            return sleeper;
        }
        if team.roster.does_run(here.index) {
            return here;
        }
        here.next_in(team.roster.awake_ones()).unwrap_or(here)
    }

    /// Returns the first loop of a set, going round from the one behind this loop.
    pub(super) fn next_in(&self, set: u64) -> Option<&'static Self> {
        let loops = self.team().loops();
        let (before, behind) = loops.split_at(self.index + 1);
        behind
            .iter()
            .chain(before)
            .find(|it| set & 1 << it.index != 0)
    }
}
