//! The cooperative scheduler. Its fibers are spawned, yield, park, sleep and join, and interrupt
//! handlers can wake them.
//!
//! ```
//! use kfiber::{platform::Host, scheduler::{self, FiberCell, Scheduler}};
//!
//! static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new()); // in a kernel: `BareX86_64`
//! static WORKER: FiberCell<65536> = FiberCell::new();
//!
//! let data = [1, 2, 3];
//! let worker = SCHEDULER.builder().name("worker").spawn(&WORKER, move || {
//!     scheduler::yield_now();
//!     data.iter().sum::<i32>()
//! })?;
//! SCHEDULER.run();
//! assert_eq!(worker.try_join().unwrap(), 6);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it works
//!
//! A [`Scheduler`] is one run loop, which runs on the core that calls [`run`](Scheduler::run).
//! Fibers switch directly to each other. The loop's own context runs only when no fiber is ready:
//! it reads the clock and lets the processor sleep. Interrupt handlers and other cores put the
//! fibers that they wake into an inbox, lock-free. The next fiber that yields or waits empties the
//! inbox.
//!
//! | | cost |
//! |---|---|
//! | a yield among fibers of the same priority | a few loads, one store, the switch |
//! | making a fiber ready, waiting | constant, whatever the number of fibers |
//! | a sleep or a deadline | at most logarithmic in the number of sleepers, and constant if its deadline is the first or the last; switches never look at it |
//! | a wake-up from an interrupt | a few loads and stores, two of them atomic |
//!
//! # Several cores
//!
//! With the feature `smp` a scheduler has a run loop for each of up to 31 cores. Each core calls
//! [`run`](Scheduler::run), which returns on all of them when no fiber is left. Spawn the first
//! fiber before: a core that finds none returns at once.
//!
//! ```
//! # #[cfg(feature = "smp")] {
//! use kfiber::platform::{Core, Host};
//! use kfiber::scheduler::{FiberCell, FiberPool, Scheduler};
//!
//! static SCHEDULER: Scheduler<Host, 4> = Scheduler::new(Host::new());
//! static WORKERS: FiberPool<65536, 8> = FiberPool::new();
//! static CLOCK: FiberCell<65536> = FiberCell::new();
//!
//! for _ in 0..8 {
//!     SCHEDULER.spawn(&WORKERS, || ()).unwrap().detach(); // on any core
//! }
//! SCHEDULER.builder().on(Core(2)).spawn(&CLOCK, || ()).unwrap().detach(); // stays on core 2
//!
//! // Each core, here played by a thread:
//! std::thread::scope(|threads| {
//!     for core in 0..4 {
//!         threads.spawn(move || SCHEDULER.platform().as_core(Core(core), || SCHEDULER.run()));
//!     }
//! });
//! # }
//! ```
//!
//! - The [`Platform`] says on which [`core`](Platform::core) it runs, [kicks](Platform::kick) a
//!   core that sleeps, and has one clock for all cores and a timer for each: `hardware::ApicCores`
//!   is one.
//! - On the bare machine each core first gives kfiber its words, and its number: see `CoreLocal`.
//! - Whatever wakes, joins, cancels or hands over works between cores. A yield still takes no lock.
//! - A ready fiber that is not pinned (`Builder::on`) moves to a core that has nothing to do. Each
//!   such core gets an equal share. The running fiber and those that wait do not move. On a host a
//!   fiber stays on the thread on which it began. A fiber can move itself: see `move_to`.
//! - Before a core [sleeps](Platform::idle), it polls for a few microseconds, with interrupts on.
//!   Work that comes from another core meanwhile needs no kick. While all others sleep, it sleeps
//!   at once.
//! - A core gives fibers away at its next scheduling point, when its running fiber yields, waits or
//!   ends. If that fiber never does, the [`Watchdog`] of that core names it, and those that wait
//!   for it: see [`SoftLockup`].
//! - Order is first come, first served within one core and one priority. A fiber of higher priority
//!   waits no longer than until the next scheduling point of its core. From such a point on, a
//!   mutex lends its owner the priority of its waiters, across cores and along chains.
//! - A cycle of waits is found when it closes. If two cores close it at the same moment, or the
//!   last to wait is a scope or a writer that needs a fiber of another core, a [`Watchdog`] finds
//!   it, or the last core to sleep: see [`Hooks::stalled`].
//!
//! # Cancellation
//!
//! Cancellation is cooperative. After [`JoinHandle::cancel`], waits that can fail return
//! [`WaitError::Cancelled`]. Other waits, such as locking a mutex, are not affected. A fiber can
//! call [`is_cancelled`] at any time, and [`shield`] hides the request while a closure runs.

mod actions;
mod block_on;
pub(crate) mod cpu;
pub(crate) mod fail;
pub mod failures;
pub(crate) mod graph;
mod info;
pub(crate) mod lock_free;
mod loops;
pub(crate) mod made_by;
pub mod overflow;
pub(crate) mod queue;
pub(crate) mod report;
pub(crate) mod run_loop;
#[cfg(all(test, feature = "smp"))]
mod sharing_tests;
pub(crate) mod spawn;
pub(crate) mod task;
mod watchdog;

#[cfg(all(feature = "smp", not(target_os = "linux")))]
pub use crate::core_local::CoreLocal;
pub use actions::{
    after, check_cancelled, current, current_name, is_cancelled, now, park, park_timeout,
    park_until, shield, sleep, sleep_until, unparker, yield_now,
};
pub use block_on::block_on;
pub use cpu::forbid::without_waiting;
#[cfg(not(target_os = "linux"))]
pub use fail::contain::fiber_panicked;
pub use graph::deadlock::{AfterDeadlock, Deadlock};
pub use graph::stall::{AfterStall, Stall, StallKind};
pub use graph::wait_graph::{WaitCycle, WaitGraph, WaitingFiber, WaitsFor};
pub use info::{FiberInfo, FiberState, HighWaterMark};
pub use report::failure::{Failure, Fault, FiberFailed, Panic};
pub use report::fatal_reason::FatalReason;
pub use report::hooks::{Hooks, HooksAlreadySet, Report};
pub use report::late_timer::LateTimer;
pub use report::print::PrintReports;
pub use report::registers::Registers;
#[cfg(feature = "smp")]
pub use report::soft_lockup::DelayedFiber;
pub use report::soft_lockup::SoftLockup;
#[cfg(feature = "smp")]
pub use run_loop::emigrate::{MoveError, move_to};
pub use run_loop::unparker::Unparker;
pub use run_loop::waiting::WaitError;
pub use spawn::builder::{Builder, CellSource, SpawnError, SpawnErrorKind};
pub use spawn::cell::{FiberCell, FiberPool, FiberStorage, GuardedFiberCell, GuardedFiberPool};
pub use spawn::join::{JoinError, JoinErrorKind, JoinHandle};
pub use spawn::local::FiberLocal;
pub use spawn::scope::{Scope, ScopedJoinHandle, scope};
pub use task::id::FiberId;
pub use task::priority::Priority;
pub use task::wait::WaitReason;
pub use watchdog::Watchdog;

use crate::platform::Platform;
use core::fmt;
use run_loop::RunLoop;

/// A run loop for each core, and their platform, in a static. See the
/// [module documentation](self).
///
/// There is one core unless the type says more, which needs the feature `smp`: see
/// [several cores](self#several-cores).
pub struct Scheduler<P: 'static, const CORES: usize = 1> {
    loops: [RunLoop; CORES],
    #[cfg(feature = "smp")]
    team: run_loop::team::Team,
    platform: P,
}

impl<P: Platform, const CORES: usize> Scheduler<P, CORES> {
    /// Returns a scheduler without fibers.
    ///
    /// It does not compile for no core, for more than 31, and for more than one without the feature
    /// `smp`.
    pub const fn new(platform: P) -> Self {
        const {
            assert!(CORES > 0, "a scheduler has at least one core");
            assert!(CORES <= 31, "a scheduler has at most 31 cores");
            assert!(
                CORES == 1 || cfg!(feature = "smp"),
                "a scheduler with several cores needs the feature `smp` of kfiber"
            );
        }
        Self {
            loops: Self::new_loops(),
            #[cfg(feature = "smp")]
            team: run_loop::team::Team::new::<P>(),
            platform,
        }
    }

    /// Returns the platform.
    pub const fn platform(&self) -> &P {
        &self.platform
    }

    /// Sets the hooks, which are told when something goes wrong. Without hooks a fiber that panics
    /// or faults ends the kernel, and other [`Report`]s are lost.
    ///
    /// # Errors
    ///
    /// Returns [`HooksAlreadySet`] if hooks were set before. The first hooks stay.
    ///
    /// # Context
    ///
    /// Callable from: fiber, scheduler, any core. Blocks: nothing.
    pub fn set_hooks(&'static self, hooks: &'static dyn Hooks) -> Result<(), HooksAlreadySet> {
        fail::overflow::report_from_here_on();
        run_loop::timer::report_from_here_on();
        self.any_loop().set_hooks(hooks)
    }

    /// Returns a builder for a fiber with a name or a priority.
    pub fn builder(&'static self) -> Builder {
        Builder {
            run_loop: self.loop_to_spawn(),
            #[cfg(feature = "smp")]
            is_pinned: false,
            name: "",
            priority: Priority::NORMAL,
        }
    }

    /// Spawns a fiber with the default name and priority. It is ready at once, and runs when its
    /// turn comes.
    ///
    /// # Errors
    ///
    /// Gives the closure back if there is no free cell. A closure that is too large for the cell's
    /// stack does not compile.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    pub fn spawn<H, F, T>(
        &'static self,
        source: H,
        closure: F,
    ) -> Result<JoinHandle<T>, SpawnError<F>>
    where
        H: CellSource,
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.builder().spawn(source, closure)
    }

    /// Runs fibers until none is left. The processor sleeps while all fibers wait. Interrupts are
    /// turned on, since fibers run with interrupts on.
    ///
    /// # Panics
    ///
    /// Panics if the scheduler is running already, if it has fibers that began on another thread,
    /// or if the caller is a fiber.
    ///
    /// # Context
    ///
    /// Callable from: boot code. Blocks: the core.
    #[track_caller]
    pub fn run(&'static self) {
        self.run_while_allowed(false);
    }

    /// Runs fibers until all that are left wait for something that has not happened yet.
    ///
    /// With several cores it returns on each core that called it, after a moment at which no fiber of
    /// any core was ready. Cores that are in [`run`](Self::run) stay there. A fiber of this core that is
    /// made ready before the core has left is run first. One that is made ready later waits for the next
    /// run on this core, also while other cores run.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    ///
    /// # Context
    ///
    /// As [`run`](Self::run), but never sleeps. Blocks: the core.
    #[track_caller]
    pub fn run_until_idle(&'static self) {
        self.run_while_allowed(true);
    }

    #[track_caller]
    fn run_while_allowed(&'static self, until_idle: bool) {
        assert!(
            cpu::current::get().is_null(),
            "a scheduler was run from a fiber: call `run` from code outside of all fibers"
        );
        let run_loop = self.loop_to_run();
        let Some(_disown) = run_loop.own_anew() else {
            panic!("the scheduler is running already: it has one loop, on one core");
        };
        // SAFETY: we are not in a fiber, and nobody else is the owner meanwhile.
        unsafe { run_loop.run_in_place(until_idle, self.platform.switch_hook()) };
    }

    /// Tells the scheduler that its timer has interrupted. The kernel's handler of the timer
    /// interrupt calls this. The next fiber that yields or waits checks which sleeping fibers are
    /// due.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Lock-free. Blocks: nothing.
    pub fn timer_interrupt(&'static self) {
        self.loop_here().timer_interrupt();
    }

    /// Returns an iterator over all fibers that have not ended or whose result nobody has taken, in
    /// no particular order.
    ///
    /// With several cores each fiber is shown as it is at one moment. Of one that does not wait, and that
    /// belongs to another core which runs, only that is known: see [`FiberState::OnAnotherCore`]. A fiber
    /// that ends, begins or moves meanwhile may be listed or not. The iterator waits while another core
    /// reports.
    ///
    /// # Panics
    ///
    /// Panics if the scheduler is running on this core, unless the caller is one of its fibers with
    /// interrupts on: otherwise the fibers could change while they are listed.
    ///
    /// # Context
    ///
    /// Callable from: fiber, boot code. Blocks: nothing.
    pub fn fibers(&'static self) -> impl Iterator<Item = FiberInfo> {
        let run_loop = self.loop_here();
        let mut headers = run_loop.team().all.iter();
        // Ownership is checked at each step: the iterator may be kept, or sent elsewhere.
        core::iter::from_fn(move || {
            run_loop
                .while_owned(|| {
                    // SAFETY: they are of this scheduler, and this loop is owned.
                    let look = |header| unsafe { FiberInfo::of_any(header, run_loop) };
                    headers.by_ref().find_map(look)
                })
                .expect("the fibers of a running scheduler can be listed by one of them only")
        })
    }

    /// Calls `f` with the graph of waits: which fibers wait, for what, since when, where in the
    /// source, and who could end each wait. It can be called at any time, for instance by a command
    /// of a shell. Deadlocks report themselves: see [`Hooks`].
    ///
    /// Returns what `f` returns, or `None` if the scheduler is running, unless the caller is one of
    /// its fibers with interrupts on.
    ///
    /// ```
    /// # use kfiber::{platform::Host, scheduler::Scheduler};
    /// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
    ///
    /// let printed = SCHEDULER.wait_graph(|graph| println!("{graph}"));
    /// assert!(printed.is_some(), "the scheduler does not run elsewhere");
    /// ```
    ///
    /// With several cores the graph has the fibers of all of them that wait at one moment. One that is
    /// woken while `f` runs goes on when `f` has returned, and until then its core may have to wait. So
    /// `f` must be short, and must not wait for another core. Only one core at a time has a graph, or
    /// reports. A fiber that runs on another core may give back what one of the graph waits for, which
    /// then shows that it waits for nobody.
    ///
    /// The graph cannot be kept. No fiber of the graph runs while `f` does, so the waits that it shows do
    /// not change. In a fiber, waiting is forbidden in `f`, and panics. Elsewhere, `f` cannot run the
    /// scheduler.
    ///
    /// # Context
    ///
    /// Callable from: fiber, boot code. Blocks: nothing.
    #[track_caller]
    pub fn wait_graph<R>(&'static self, f: impl FnOnce(&WaitGraph<'_>) -> R) -> Option<R> {
        self.loop_here().lend_wait_graph(f)
    }

    /// Returns an iterator over the greatest depth to which the stack of each cell was ever used.
    /// It skips cells that never had a fiber, and those whose fiber failed. With several cores it also
    /// skips those of another core that runs, unless their fiber waits or its result was not taken yet.
    /// Print it at the end of a typical run, or of the worst one. It reads up to the whole of each
    /// stack.
    ///
    /// # Panics
    ///
    /// As [`fibers`](Self::fibers).
    ///
    /// # Context
    ///
    /// As [`fibers`](Self::fibers).
    pub fn high_water_marks(&'static self) -> impl Iterator<Item = HighWaterMark> {
        let run_loop = self.loop_here();
        let mut headers = run_loop.team().all.iter();
        core::iter::from_fn(move || {
            // SAFETY: it is of this scheduler, and this loop is owned.
            let of = |header| unsafe { HighWaterMark::of_any(header, run_loop) };
            run_loop
                .while_owned(|| headers.by_ref().find_map(of))
                .expect(
                    "the stacks of a running scheduler can be measured by one of its fibers only",
                )
        })
    }
}

impl<P, const CORES: usize> fmt::Debug for Scheduler<P, CORES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler")
            .field("is_running", &self.loops[0].is_running)
            .finish_non_exhaustive()
    }
}
