//! The cooperative scheduler: fibers that are spawned, yield, park, sleep, join, and are woken from interrupt handlers.
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
//! One [`Scheduler`] is one run loop, on the core that calls [`run`](Scheduler::run). Fibers switch straight to each other;
//! the loop's own context only runs when no fiber is ready, to look at the clock and to let the processor sleep. Interrupt
//! handlers and other cores put what they wake into an inbox, wait-free; a fiber takes it out when it next yields or waits.
//!
//! | | cost |
//! |---|---|
//! | yield among equals | a few loads, one store, the switch |
//! | making ready, waiting | constant, however many fibers there are |
//! | a sleep or a deadline | constant to begin, logarithmic to end; switches never look at it |
//! | a wake from an interrupt | one atomic exchange, one store |
//!
//! # Cancellation
//!
//! is cooperative: [`JoinHandle::cancel`] asks, and waits that can fail return [`WaitError::Cancelled`]; others, like locking
//! a mutex, are not disturbed. [`is_cancelled`] asks at any time, and [`shield`] hides it.

mod actions;
mod block_on;
pub(crate) mod cpu;
pub(crate) mod fail;
pub mod failures;
pub(crate) mod graph;
mod info;
pub(crate) mod lock_free;
pub(crate) mod made_by;
pub mod overflow;
pub(crate) mod queue;
pub(crate) mod report;
pub(crate) mod run_loop;
pub(crate) mod spawn;
pub(crate) mod task;
mod watchdog;

pub use actions::{
    after, check_cancelled, current, current_name, is_cancelled, now, park, park_timeout,
    park_until, shield, sleep, sleep_until, unparker, yield_now,
};
pub use block_on::block_on;
pub use cpu::current::without_waiting;
#[cfg(target_os = "none")]
pub use fail::contain::{ExceptionFrame, fiber_faulted, fiber_panicked};
pub use graph::deadlock::{AfterDeadlock, Deadlock};
pub use graph::stall::{AfterStall, Outlook, Stall};
pub use graph::wait_graph::{Circle, Needs, WaitGraph, WaitingFiber};
pub use info::{FiberInfo, FiberState, HighWaterMark};
pub use report::failure::{Failure, Fault, FiberFailed, Panic};
pub use report::hog::Hog;
pub use report::hooks::{Hooks, HooksAlreadySet, Report};
pub use report::late_timer::LateTimer;
pub use report::not_contained::NotContained;
pub use report::registers::Registers;
pub use run_loop::unparker::Unparker;
pub use run_loop::waiting::WaitError;
pub use spawn::builder::{Builder, Home, SpawnError, SpawnErrorKind};
pub use spawn::cell::{Cell, FiberCell, FiberPool, GuardedFiberCell, GuardedFiberPool};
pub use spawn::join::{JoinError, JoinErrorKind, JoinHandle};
pub use spawn::local::FiberLocal;
pub use spawn::scope::{Scope, ScopedJoinHandle, scope};
pub use task::id::FiberId;
pub use task::priority::Priority;
pub use task::wait::WaitReason;
pub use watchdog::Watchdog;

use crate::platform::Platform;
use core::fmt;
#[cfg(target_os = "none")]
use overflow::WayOut;
use overflow::{Exception, Overflow};
use run_loop::RunLoop;

/// A run loop and its platform, in a static. See the [module](self).
pub struct Scheduler<P: 'static> {
    run_loop: RunLoop,
    platform: P,
}

impl<P: Platform> Scheduler<P> {
    /// Returns a scheduler without fibers.
    pub const fn new(platform: P) -> Self {
        Self {
            run_loop: RunLoop::new(),
            platform,
        }
    }

    /// To be called first by the kernel's handlers of `#DB`, `#DF` and `#PF`, each on a stack of its own: says whether the
    /// running fiber overflowed its stack, and if so tells the hooks. The fiber cannot go on then: see `way_out`.
    ///
    /// It reads control blocks and the running fiber's own stack, and nothing else. So registers that are wrong make a wrong
    /// report, and do no harm.
    ///
    /// ```no_run
    /// # use kfiber::{platform::Host, scheduler::{Scheduler, overflow::Exception}};
    /// # static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
    /// # struct Frame { rip: u64, rsp: u64, rflags: u64 }
    /// # let (frame, error_code, rbp, address) = (Frame { rip: 0, rsp: 0, rflags: 0 }, 0, 0, 0);
    /// let exception = Exception {
    ///     vector: 14,
    ///     error_code,
    ///     rip: frame.rip,
    ///     rsp: frame.rsp,
    ///     rbp,
    ///     rflags: frame.rflags,
    ///     address, // or `..Default::default()`, and then `with_address()`
    /// };
    /// if let Some(overflow) = SCHEDULER.on_exception(&exception) {
    ///     panic!("no more {}", overflow.name);
    /// }
    /// ```
    ///
    /// # Context
    ///
    /// Callable from: exception handler, on the core that runs the scheduler. Takes no lock. Blocks: nothing.
    pub fn on_exception(&'static self, exception: &Exception) -> Option<Overflow> {
        let mut overflow = self.run_loop.classify(exception)?;
        let times_before = fail::overflow::remember(cpu::current::get(), overflow.registers);
        overflow.is_repeated = times_before > 0;
        // The second report says what is wrong. Those of a loop that has no end would only hide it.
        if times_before < 2 {
            self.run_loop.report(&Report::Overflow(&overflow));
        }
        Some(overflow)
    }

    /// Where the handler of an exception that [`on_exception`](Self::on_exception) knew is to return to: then the running fiber
    /// ends, without any use of its stack, and the others go on: whoever joins it gets
    /// [`Failure::Overflowed`].
    ///
    /// Both values must reach the frame that the processor pushed. The handlers of `extern "x86-interrupt"` have that frame as a
    /// parameter by value, which they never read again: the compiler takes plain assignments to it out of a release build, and
    /// the same exception comes again. (The second report says so: [`is_repeated`](Overflow::is_repeated).) Write through a
    /// volatile pointer:
    ///
    /// ```ignore
    /// extern "x86-interrupt" fn page_fault(mut frame: InterruptStackFrame, error: PageFaultErrorCode) {
    ///     // ...
    ///     if SCHEDULER.on_exception(&exception).is_some() {
    ///         let way_out = SCHEDULER.way_out();
    ///         // SAFETY: the fiber that was interrupted ends there, and nothing on its stack is used any more.
    ///         unsafe {
    ///             frame.as_mut().update(|frame| { // `Volatile`: the stores stay
    ///                 frame.instruction_pointer = VirtAddr::new(way_out.rip);
    ///                 frame.stack_pointer = VirtAddr::new(way_out.rsp);
    ///             });
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// With a frame type of your own, `(&raw mut frame.rip).write_volatile(way_out.rip)`, and the same for `rsp`.
    ///
    /// The `#DF` handler of the `x86_64` crate never returns, by its type, so it can only report. Give `#PF` a stack of the
    /// IST: then an overflow ends one fiber there, and no `#DF` comes of it.
    ///
    /// The exception must not have come in an interrupt handler that holds something, a lock or an unacknowledged interrupt,
    /// that others need: see [`with_interrupts_off`](Overflow::with_interrupts_off).
    ///
    /// # Context
    ///
    /// As [`on_exception`](Self::on_exception).
    #[cfg(target_os = "none")]
    pub fn way_out(&'static self) -> WayOut {
        WayOut {
            rip: fail::overflow::landing as *const () as u64,
            // As after a call.
            rsp: self.run_loop.below_root().addr() as u64 - 8,
        }
    }

    /// The platform.
    pub const fn platform(&self) -> &P {
        &self.platform
    }

    /// Says who is told when something goes wrong. Without hooks a fiber that panics or faults ends the kernel, and other
    /// [`Report`]s go nowhere.
    ///
    /// # Errors
    ///
    /// The first hooks stay; others are refused.
    ///
    /// # Context
    ///
    /// Callable from: fiber, scheduler, any core. Blocks: nothing.
    pub fn set_hooks(&'static self, hooks: &'static dyn Hooks) -> Result<(), HooksAlreadySet> {
        fail::overflow::report_from_here_on();
        run_loop::timer::report_from_here_on();
        self.run_loop.set_hooks(hooks)
    }

    /// Begins to make a fiber with a name or a priority.
    pub fn builder(&'static self) -> Builder {
        self.run_loop.set_platform(&self.platform);
        Builder {
            run_loop: &self.run_loop,
            name: "",
            priority: Priority::NORMAL,
        }
    }

    /// Makes a fiber with the default name and priority; it runs when its turn comes.
    ///
    /// # Errors
    ///
    /// Gives the closure back if there is no free cell. A closure too large for the cell's stack does not compile.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    pub fn spawn<H, F, T>(
        &'static self,
        home: H,
        closure: F,
    ) -> Result<JoinHandle<T>, SpawnError<F>>
    where
        H: Home,
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.builder().spawn(home, closure)
    }

    /// Runs fibers until none is left. While all wait, the processor sleeps. Turns interrupts on: fibers run with them on.
    ///
    /// # Panics
    ///
    /// Panics if the scheduler is running already, or has fibers that began on another thread, and if the caller is a fiber.
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
            "a scheduler was run from a fiber: fibers run in the scheduler, not around it"
        );
        self.run_loop.set_platform(&self.platform);
        // SAFETY: we are not in a fiber, and nobody else is the owner meanwhile.
        let run = || unsafe { self.run_loop.run_in_place(until_idle) };
        self.run_loop
            .while_owned(run)
            .expect("the scheduler is running already: it has one loop, on one core");
    }

    /// To be called by the kernel's timer interrupt handler: has the sleepers looked at when a fiber next yields or waits.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Wait-free. Blocks: nothing.
    pub fn timer_interrupt(&'static self) {
        self.run_loop.timer_interrupt();
    }

    /// All fibers that have not ended, or whose result nobody took, in no particular order.
    ///
    /// # Panics
    ///
    /// Panics if the scheduler runs, and the caller is not one of its fibers, with interrupts on: what it shows would change
    /// under its eyes.
    ///
    /// # Context
    ///
    /// Callable from: fiber, boot code. Blocks: nothing.
    pub fn fibers(&'static self) -> impl Iterator<Item = FiberInfo> {
        let mut headers = self.run_loop.all.iter();
        // Asked at each step, for the iterator may be kept, or sent elsewhere.
        core::iter::from_fn(move || {
            self.run_loop
                .while_owned(|| {
                    // SAFETY: they are this loop's, which is owned.
                    let look = |header| unsafe { FiberInfo::of(header) };
                    headers.by_ref().find_map(look)
                })
                .expect("the fibers of a running scheduler can be listed by one of them only")
        })
    }

    /// Lends `f` the fibers that wait: for what, since when, where in the source, and who could end it. It can be called at
    /// any time, for instance by a command of a shell. Deadlocks report themselves: see [`Hooks`].
    ///
    /// Returns what `f` returns, or nothing if the scheduler runs and the caller is not one of its fibers with interrupts on.
    ///
    /// ```
    /// # use kfiber::{platform::Host, scheduler::Scheduler};
    /// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
    ///
    /// let printed = SCHEDULER.wait_graph(|graph| println!("{graph}"));
    /// assert!(printed.is_some(), "the scheduler does not run elsewhere");
    /// ```
    ///
    /// The graph cannot be kept: no fiber runs while `f` does, so nothing that it shows can change. In a fiber waiting is
    /// forbidden in `f`, and panics; elsewhere the scheduler cannot be run.
    ///
    /// # Context
    ///
    /// Callable from: fiber, boot code. Blocks: nothing.
    #[track_caller]
    pub fn wait_graph<R>(&'static self, f: impl FnOnce(&WaitGraph<'_>) -> R) -> Option<R> {
        self.run_loop.lend_wait_graph(f)
    }

    /// How much of each stack was ever used, in all cells that ever had a fiber, but for those of fibers that failed: to be
    /// printed at the end of a run that is typical, or the worst. It reads up to the whole of each stack.
    ///
    /// # Panics
    ///
    /// As [`fibers`](Self::fibers).
    ///
    /// # Context
    ///
    /// As [`fibers`](Self::fibers).
    pub fn high_water_marks(&'static self) -> impl Iterator<Item = HighWaterMark> {
        let mut headers = self.run_loop.all.iter();
        core::iter::from_fn(move || {
            // SAFETY: it is of this loop's list, and we are the owner.
            let of = |header| unsafe { HighWaterMark::of(header) };
            self.run_loop
                .while_owned(|| headers.by_ref().find_map(of))
                .expect(
                    "the stacks of a running scheduler can be measured by one of its fibers only",
                )
        })
    }
}

impl<P> fmt::Debug for Scheduler<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler")
            .field("is_running", &self.run_loop.is_running)
            .finish_non_exhaustive()
    }
}
