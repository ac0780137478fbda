//! Fibers that do not let others run, and schedulers in which nobody runs: found by the timer's interrupt handler, at no cost
//! to any switch.
//!
//! At each tick the handler compares the running fiber and its count of turns with those of the last tick. If both are the
//! same it leaves a note in the scheduler's inbox, into which every yield and every wait looks. As long as the note lies there
//! the fiber has not let anybody run. A fiber that yields while it is the only one that is ready takes the note out, and is
//! no hog, though it is never switched away from.
//!
//! A scheduler is idle for as long as its own loop has let the processor sleep, and has not switched to a fiber. The tick looks at
//! its fibers only when it has interrupted that sleep: then nothing is half-changed.

use crate::platform::{NEVER, Nanoseconds, Platform};
use crate::scheduler::Scheduler;
use crate::scheduler::cpu::current;
use crate::scheduler::report::hog::Hog;
use crate::scheduler::report::hooks::Report;
use crate::scheduler::report::registers::Registers;
use crate::scheduler::run_loop::RunLoop;
use crate::scheduler::task::control::Extra;
use crate::scheduler::task::header::Header;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use core::time::Duration;

/// Finds fibers that run for longer than a limit without a yield or a wait, and schedulers in which nobody runs for long: one for
/// each [`Scheduler`], in a static.
///
/// ```
/// use core::time::Duration;
/// use kfiber::platform::{Host, Platform};
/// use kfiber::scheduler::{Registers, Scheduler, Watchdog};
///
/// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
/// static WATCHDOG: Watchdog =
///     Watchdog::new(Duration::from_millis(100)).with_idle_limit(Duration::from_secs(60));
///
/// /// Called by the kernel's handler of a periodic timer.
/// fn tick(interrupted: Registers) {
///     let now = SCHEDULER.platform().now();
///     WATCHDOG.tick(&SCHEDULER, now, interrupted); // reports through the scheduler's hooks
///     SCHEDULER.timer_interrupt();
/// }
/// # tick(Registers { rip: 0, rsp: 0, rbp: 0 });
/// ```
#[derive(Debug)]
pub struct Watchdog {
    limit: Nanoseconds,
    /// Who ran at the last tick, and its count of turns.
    fiber: AtomicPtr<Header>,
    switches: AtomicU64,
    /// The first tick that saw it so.
    since: AtomicU64,
    /// Whether a note for it was left in the inbox.
    is_noted: AtomicBool,
    is_reported: AtomicBool,
    /// [`NEVER`] if nobody wants to know.
    idle_limit: Nanoseconds,
    /// How often the loop had switched to a fiber when a tick found it idle.
    idle_runs: AtomicU64,
    /// The first tick that saw it so.
    idle_since: AtomicU64,
    is_idle_reported: AtomicBool,
}

impl Watchdog {
    /// Returns a watchdog that reports a fiber once it has run for longer than `limit`.
    ///
    /// A run is measured from tick to tick. It is reported at the first tick at which it has been seen for `limit`, which is
    /// up to two ticks late.
    #[must_use]
    pub const fn new(limit: Duration) -> Self {
        Self {
            limit: nanoseconds(limit),
            fiber: AtomicPtr::new(ptr::null_mut()),
            switches: AtomicU64::new(0),
            since: AtomicU64::new(0),
            is_noted: AtomicBool::new(false),
            is_reported: AtomicBool::new(false),
            idle_limit: NEVER,
            idle_runs: AtomicU64::new(u64::MAX),
            idle_since: AtomicU64::new(0),
            is_idle_reported: AtomicBool::new(false),
        }
    }

    /// Also reports that all fibers wait, without a deadline to come, once no fiber has run for longer than `limit`: a
    /// [`Report::Stall`] with the graph of waits, once for each time that the scheduler is idle. This is how a wake-up that
    /// never comes is noticed, say from a device that has stopped to interrupt. A kernel that waits for a key all night gets
    /// the report as well.
    #[must_use]
    pub const fn with_idle_limit(mut self, limit: Duration) -> Self {
        self.idle_limit = nanoseconds(limit);
        self
    }

    /// To be called by the handler of an interrupt that comes again and again, on the core that runs the scheduler, with the
    /// time by the scheduler's clock. Reports a hog to the hooks, once for each of its runs; with an
    /// [idle limit](Self::with_idle_limit), that all wait; and, once, that the scheduler's timer is late.
    ///
    /// # Context
    ///
    /// Callable from: interrupt. Blocks: nothing.
    pub fn tick<P: Platform>(
        &self,
        scheduler: &'static Scheduler<P>,
        now: Nanoseconds,
        interrupted: Registers,
    ) {
        let run_loop = &scheduler.run_loop;
        run_loop.has_seen(now);
        run_loop.check_timer(now);
        let fiber = current::get();
        if fiber.is_null() || !run_loop.is_entered() {
            self.fiber.store(ptr::null_mut(), Ordering::Relaxed);
            return self.look_at_idle(run_loop, now);
        }
        if !self.is_same_run(run_loop, fiber) {
            return self.begin(fiber, now);
        }
        if !self.is_noted.swap(true, Ordering::Relaxed) {
            // It may have yielded until now, and found nobody else.
            self.since.store(now, Ordering::Relaxed);
            return run_loop.leave_note();
        }
        let runs_for = now.saturating_sub(self.since.load(Ordering::Relaxed));
        let longest = u32::try_from(runs_for / 1000).unwrap_or(u32::MAX);
        // SAFETY: only cells' headers run.
        let extra = unsafe { Extra::of(fiber) };
        extra.longest_run.fetch_max(longest, Ordering::Relaxed);
        if runs_for >= self.limit && !self.is_reported.swap(true, Ordering::Relaxed) {
            // SAFETY: it runs.
            unsafe { report_hog(run_loop, fiber, runs_for, interrupted) };
        }
    }

    /// Nobody of the loop runs: for how long?
    #[inline(never)]
    fn look_at_idle(&self, run_loop: &RunLoop, now: Nanoseconds) {
        if self.idle_limit == NEVER || !run_loop.is_idle_here() {
            return;
        }
        // We have interrupted the loop's owner where it sleeps, so all that is the owner's is as it should be.
        let runs = run_loop.root.turns().get();
        let has_run = self.idle_runs.swap(runs, Ordering::Relaxed) != runs;
        if has_run || run_loop.sleepers.next_deadline() != NEVER {
            self.idle_since.store(now, Ordering::Relaxed);
            return self.is_idle_reported.store(false, Ordering::Relaxed);
        }
        let lasts_for = now.saturating_sub(self.idle_since.load(Ordering::Relaxed));
        if lasts_for >= self.idle_limit && !self.is_idle_reported.load(Ordering::Relaxed) {
            let is_told = run_loop.report_idle(lasts_for);
            self.is_idle_reported.store(is_told, Ordering::Relaxed);
        }
    }

    /// Whether it has run since the last tick, and has not let anybody run.
    fn is_same_run(&self, run_loop: &RunLoop, fiber: *const Header) -> bool {
        // SAFETY: it runs.
        let switches = unsafe { (*fiber).turns().get() };
        let is_same = ptr::eq(self.fiber.load(Ordering::Relaxed), fiber)
            && self.switches.load(Ordering::Relaxed) == switches;
        is_same && !(self.is_noted.load(Ordering::Relaxed) && run_loop.has_read_note())
    }

    fn begin(&self, fiber: *const Header, now: Nanoseconds) {
        // SAFETY: it runs.
        let switches = unsafe { (*fiber).turns().get() };
        self.fiber.store(fiber.cast_mut(), Ordering::Relaxed);
        self.switches.store(switches, Ordering::Relaxed);
        self.since.store(now, Ordering::Relaxed);
        self.is_noted.store(false, Ordering::Relaxed);
        self.is_reported.store(false, Ordering::Relaxed);
    }
}

/// In a frame of its own: ticks come on every fiber's stack, and hogs are few.
///
/// # Safety
///
/// The fiber runs, on this core.
#[cold]
#[inline(never)]
unsafe fn report_hog(
    run_loop: &RunLoop,
    fiber: *const Header,
    runs_for: Nanoseconds,
    interrupted: Registers,
) {
    // SAFETY: the caller's promise.
    let hog = unsafe { Hog::new(fiber, runs_for, interrupted) };
    run_loop.report(&Report::Hog(&hog));
}

const fn nanoseconds(duration: Duration) -> Nanoseconds {
    duration
        .as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(duration.subsec_nanos() as Nanoseconds)
}

debug_is_display!(Hog);
