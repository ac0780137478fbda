//! Detects soft lockups, which are fibers that do not let others run, and schedulers in which no
//! fiber runs. The timer's interrupt handler does the work, so no switch pays for it.
//!
//! At each tick the handler compares the running fiber and its count of dispatches with those of
//! the last tick. If both are the same, it leaves a note in the scheduler's inbox, which every
//! yield and every wait checks. While the note is still there, the fiber has not let any other run.
//! A fiber that yields while no other fiber is ready takes the note out, so it does not count as a
//! soft lockup, although it is never switched away from.
//!
//! With several cores a fiber that is about to wait sees only those fibers of other cores that wait
//! already, so a cycle of waits may close unseen. A tick therefore looks for cycles too, once in the time
//! of its limit, and keeps the fibers that it looks at from running meanwhile.
//!
//! A scheduler is idle while its own loop lets the processor sleep and does not switch to a fiber.
//! The tick looks at its fibers only when it has interrupted that sleep, because nothing is
//! half-changed then.

use crate::platform::{NEVER, Nanoseconds, Platform};
use crate::scheduler::Scheduler;
use crate::scheduler::cpu::current;
use crate::scheduler::report::hooks::Report;
use crate::scheduler::report::registers::Registers;
use crate::scheduler::report::soft_lockup::SoftLockup;
use crate::scheduler::run_loop::RunLoop;
use crate::scheduler::task::header::Header;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use core::time::Duration;

/// Detects fibers that run for longer than a limit without a yield or a wait, and schedulers in
/// which no fiber runs for long. There is one for each [`Scheduler`], in a static; with several cores
/// one for each core, which that core calls.
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
    /// The fiber that ran at the last tick. The next field is its count of dispatches.
    fiber: AtomicPtr<Header>,
    switches: AtomicU64,
    /// The first tick that found this fiber with this count.
    since: AtomicU64,
    /// Whether a note about the fiber was left in the inbox.
    is_noted: AtomicBool,
    is_reported: AtomicBool,
    /// The idle limit, or [`NEVER`] if none was set.
    idle_limit: Nanoseconds,
    /// The number of the loop's switches to a fiber when a tick found the loop idle.
    idle_runs: AtomicU64,
    /// The first tick that found the loop idle with this number.
    idle_since: AtomicU64,
    is_idle_reported: AtomicBool,
    /// When it looks for cycles of waits again.
    #[cfg(feature = "smp")]
    next_look: AtomicU64,
}

impl Watchdog {
    /// Returns a watchdog that reports a fiber once it has run for longer than `limit`.
    ///
    /// A run is measured from tick to tick. It is reported at the first tick that finds that it has
    /// lasted for `limit`, which is up to two ticks late.
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
            #[cfg(feature = "smp")]
            next_look: AtomicU64::new(0),
        }
    }

    /// Sets an idle limit: if all fibers wait without a deadline, and no fiber has run for longer
    /// than `limit`, the watchdog reports a [`Report::Stall`] with the graph of waits. It does so
    /// once for each time that the scheduler becomes idle. This detects a wake-up that never comes,
    /// for example from a device that has stopped sending interrupts. A kernel that waits for a key
    /// all night gets the report as well.
    #[must_use]
    pub const fn with_idle_limit(mut self, limit: Duration) -> Self {
        self.idle_limit = nanoseconds(limit);
        self
    }

    /// Checks the running fiber and the scheduler, and reports what it finds to the hooks. The
    /// handler of a periodic interrupt calls this on the core that runs the scheduler, with the
    /// time by the scheduler's clock. It reports a soft lockup once for each of its runs, and once
    /// that the scheduler's timer is late. With several cores the report of a soft lockup names those
    /// that wait for the fiber, and a tick reports each cycle of waits that no fiber saw when it closed:
    /// once in the time of the limit it looks at the fibers of all cores. With an [idle limit](Self::with_idle_limit) it also
    /// reports that all fibers wait.
    ///
    /// # Context
    ///
    /// Callable from: interrupt. Blocks: nothing.
    pub fn tick<P: Platform, const CORES: usize>(
        &self,
        scheduler: &'static Scheduler<P, CORES>,
        now: Nanoseconds,
        interrupted: Registers,
    ) {
        let run_loop = scheduler.loop_here();
        run_loop.has_seen(now);
        run_loop.check_timer(now);
        #[cfg(feature = "smp")]
        self.look_for_cycles(run_loop, now);
        let fiber = current::get();
        if fiber.is_null() || !run_loop.is_entered() {
            self.fiber.store(ptr::null_mut(), Ordering::Relaxed);
            return self.look_at_idle(run_loop, now);
        }
        if !self.is_same_run(run_loop, fiber) {
            return self.begin(fiber, now);
        }
        if !self.is_noted.swap(true, Ordering::Relaxed) {
            // The fiber may have yielded until now and found no other fiber ready.
            self.since.store(now, Ordering::Relaxed);
            return run_loop.leave_note();
        }
        let runs_for = now.saturating_sub(self.since.load(Ordering::Relaxed));
        let longest = u32::try_from(runs_for / 1000).unwrap_or(u32::MAX);
        // SAFETY: it runs.
        unsafe { (*fiber).note_run(longest) };
        if runs_for >= self.limit && !self.is_reported.swap(true, Ordering::Relaxed) {
            // SAFETY: it runs.
            unsafe { report_soft_lockup(run_loop, fiber, runs_for, interrupted) };
        }
    }

    /// Looks for cycles of waits, where there are several cores.
    #[cfg(feature = "smp")]
    fn look_for_cycles(&self, run_loop: &RunLoop, now: Nanoseconds) {
        let next = self.next_look.load(Ordering::Relaxed);
        if run_loop.cores() > 1 && now >= next {
            self.next_look
                .store(now.saturating_add(self.limit), Ordering::Relaxed);
            run_loop.report_cycles();
        }
    }

    /// Checks for how long no fiber of the loop has run.
    #[inline(never)]
    fn look_at_idle(&self, run_loop: &RunLoop, now: Nanoseconds) {
        if self.idle_limit == NEVER || !run_loop.is_idle_here() {
            return;
        }
        // We have interrupted the loop's owner where it sleeps, so none of its state is
        // half-changed.
        let runs = run_loop.root.dispatches().get();
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

    /// Returns whether the fiber has run since the last tick without letting others run.
    fn is_same_run(&self, run_loop: &RunLoop, fiber: *const Header) -> bool {
        // SAFETY: it runs.
        let switches = unsafe { (*fiber).dispatches().get() };
        let is_same = ptr::eq(self.fiber.load(Ordering::Relaxed), fiber)
            && self.switches.load(Ordering::Relaxed) == switches;
        is_same && !(self.is_noted.load(Ordering::Relaxed) && run_loop.has_read_note())
    }

    fn begin(&self, fiber: *const Header, now: Nanoseconds) {
        // SAFETY: it runs.
        let switches = unsafe { (*fiber).dispatches().get() };
        self.fiber.store(fiber.cast_mut(), Ordering::Relaxed);
        self.switches.store(switches, Ordering::Relaxed);
        self.since.store(now, Ordering::Relaxed);
        self.is_noted.store(false, Ordering::Relaxed);
        self.is_reported.store(false, Ordering::Relaxed);
    }
}

/// Reports a soft lockup. It has a frame of its own because ticks come on every fiber's stack, and
/// soft lockups are rare.
///
/// # Safety
///
/// The fiber is running on this core.
#[cold]
#[inline(never)]
unsafe fn report_soft_lockup(
    run_loop: &RunLoop,
    fiber: *const Header,
    runs_for: Nanoseconds,
    interrupted: Registers,
) {
    // SAFETY: the caller's promise.
    let lockup = unsafe {
        SoftLockup::new(
            fiber,
            (run_loop.core(), run_loop.cores()),
            runs_for,
            interrupted,
        )
    };
    #[cfg(feature = "smp")]
    let lockup = {
        let mut lockup = lockup;
        lockup.set_delayed(run_loop.delayed_by(fiber));
        lockup
    };
    run_loop.report(&Report::SoftLockup(&lockup));
}

const fn nanoseconds(duration: Duration) -> Nanoseconds {
    duration
        .as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(duration.subsec_nanos() as Nanoseconds)
}

debug_is_display!(SoftLockup);
