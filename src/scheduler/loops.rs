//! The loops of a scheduler: one, or with the feature `smp` one for each core.

use crate::platform::{Core, Platform};
use crate::scheduler::Scheduler;
use crate::scheduler::run_loop::RunLoop;
#[cfg(not(feature = "smp"))]
use crate::scheduler::run_loop::team::Team;

#[cfg(not(feature = "smp"))]
impl<P: Platform, const CORES: usize> Scheduler<P, CORES> {
    pub(super) const fn new_loops() -> [RunLoop; CORES] {
        [const { RunLoop::new(Core(0), Team::new::<P>()) }; CORES]
    }

    /// Returns a loop of this scheduler.
    #[inline(always)]
    pub(crate) const fn any_loop(&'static self) -> &'static RunLoop {
        &self.loops[0]
    }

    /// Returns the loop of the core on which the caller runs.
    #[inline(always)]
    pub(crate) const fn loop_here(&'static self) -> &'static RunLoop {
        &self.loops[0]
    }

    /// Returns the loop in which a new fiber begins.
    #[inline(always)]
    #[expect(clippy::missing_const_for_fn, reason = "with `smp` it is none")]
    pub(super) fn loop_to_spawn(&'static self) -> &'static RunLoop {
        &self.loops[0]
    }

    /// Returns the loop of this core, for `run`. It knows the platform from here on.
    pub(super) fn loop_to_run(&'static self) -> &'static RunLoop {
        let run_loop = &self.loops[0];
        // SAFETY: it is of this scheduler.
        unsafe { run_loop.set_platform(&self.platform) };
        run_loop
    }
}

#[cfg(feature = "smp")]
impl<P: Platform, const CORES: usize> Scheduler<P, CORES> {
    pub(super) const fn new_loops() -> [RunLoop; CORES] {
        let mut loops = [const { RunLoop::new(Core(0)) }; CORES];
        let mut index = 1;
        while index < CORES {
            loops[index] = RunLoop::new(Core(index));
            index += 1;
        }
        loops
    }

    /// Returns a loop of this scheduler, once the loops know each other.
    #[inline(always)]
    pub(crate) fn any_loop(&'static self) -> &'static RunLoop {
        self.team.unite(&self.loops);
        &self.loops[0]
    }

    /// Returns a loop with which a new fiber is begun, on any core. It knows the platform from here
    /// on.
    #[track_caller]
    pub(super) fn loop_to_spawn(&'static self) -> &'static RunLoop {
        let run_loop = self.any_loop();
        // SAFETY: it is of this scheduler.
        unsafe { run_loop.set_platform(&self.platform) };
        run_loop
    }

    /// Returns the loop of the core on which the caller runs.
    pub(crate) fn loop_here(&'static self) -> &'static RunLoop {
        self.loop_to_spawn().here()
    }

    /// Returns the loop of this core, for `run`.
    #[track_caller]
    pub(super) fn loop_to_run(&'static self) -> &'static RunLoop {
        let _knows_the_platform = self.loop_to_spawn();
        #[cfg(not(target_os = "linux"))]
        crate::core_local::check();
        let Core(index) = self.platform.core();
        assert!(
            index < CORES,
            "a scheduler for {CORES} cores was run on core {index}: give it more cores, `Scheduler<_, {}>`, or let \
             `Platform::core` count those that run it from 0",
            index + 1
        );
        &self.loops[index]
    }
}
