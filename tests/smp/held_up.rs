//! When `run` and `run_until_idle` return while something happens at the worst moment, which a platform
//! brings about.

use crate::cores::{Cell, Cells};
use core::sync::atomic::{AtomicBool, Ordering};
use kfiber::platform::{Core, Host, Nanoseconds, Platform};
use kfiber::scheduler::{self, FiberState, Scheduler, Unparker};
use std::sync::Mutex as HostMutex;
use std::thread;

/// A host that knows which cores sleep, and does something else first when it is asked to.
struct Odd {
    host: Host,
    /// Whether the core has begun to sleep.
    sleeps: [AtomicBool; 3],
    /// Who is woken before core 0 is kicked next.
    woken_first: HostMutex<Option<Unparker>>,
    /// Whether the clock of core 2 takes long.
    is_slow: AtomicBool,
    /// Whether it has begun to, and whether it may go on.
    is_held_up: AtomicBool,
    may_go_on: AtomicBool,
}

impl Odd {
    const fn new() -> Self {
        Self {
            host: Host::new(),
            sleeps: [const { AtomicBool::new(false) }; 3],
            woken_first: HostMutex::new(None),
            is_slow: AtomicBool::new(false),
            is_held_up: AtomicBool::new(false),
            may_go_on: AtomicBool::new(false),
        }
    }

    fn sleeps(&self, core: usize) -> bool {
        self.sleeps[core].load(Ordering::Acquire)
    }
}

// SAFETY: it does what the host does. Waking a fiber is allowed everywhere.
unsafe impl Platform for Odd {
    fn now(&self) -> Nanoseconds {
        if self.core() == Core(2) && self.is_slow.swap(false, Ordering::Relaxed) {
            self.is_held_up.store(true, Ordering::Release);
            while !self.may_go_on.load(Ordering::Acquire) {
                thread::yield_now();
            }
        }
        self.host.now()
    }

    fn set_timer(&self, deadline: Nanoseconds) {
        self.host.set_timer(deadline);
    }

    fn idle(&self) {
        self.sleeps[self.core().0].store(true, Ordering::Release);
        self.host.idle();
    }

    fn late_timer_limit(&self) -> Nanoseconds {
        self.host.late_timer_limit()
    }

    fn core(&self) -> Core {
        self.host.core()
    }

    fn kick(&self, core: Core) {
        if core == Core(0)
            && let Some(first) = self.woken_first.lock().unwrap().take()
        {
            first.unpark();
        }
        self.host.kick(core);
    }
}

#[test]
fn a_fiber_that_is_woken_while_run_until_idle_is_about_to_return_runs_first() {
    static CELLS: Cells<2> = Cells::new();
    static SCHEDULER: Scheduler<Odd, 2> = Scheduler::new(Odd::new());
    static HAS_RUN: AtomicBool = AtomicBool::new(false);
    static IS_CORE_1_BUSY: AtomicBool = AtomicBool::new(false);

    let platform = SCHEDULER.platform();
    let late = SCHEDULER.builder().name("late").on(Core(0));
    let park = || {
        scheduler::park().unwrap();
        HAS_RUN.store(true, Ordering::Relaxed);
    };
    let late = late.spawn(&CELLS, park).unwrap();
    let last = SCHEDULER.builder().name("last").on(Core(1));
    // It is the last to wait. Core 1 then tells core 0 that all fibers wait, and kicks it.
    let wait_last = move || {
        IS_CORE_1_BUSY.store(true, Ordering::Release);
        let is_parked = || {
            SCHEDULER
                .fibers()
                .any(|it| it.name == "late" && matches!(it.state, FiberState::Waiting { .. }))
        };
        while !platform.sleeps(0) || !is_parked() {
            scheduler::yield_now();
        }
        *platform.woken_first.lock().unwrap() = Some(late.unparker());
        scheduler::park().unwrap();
    };
    let last = last.spawn(&CELLS, wait_last).unwrap();
    let unparker = last.unparker();
    thread::scope(|threads| {
        threads.spawn(|| platform.host.as_core(Core(1), || SCHEDULER.run()));
        threads.spawn(|| {
            // A core that runs alone is idle as soon as its own fibers wait.
            while !IS_CORE_1_BUSY.load(Ordering::Acquire) {
                thread::yield_now();
            }
            platform
                .host
                .as_core(Core(0), || SCHEDULER.run_until_idle());
            let has_run = HAS_RUN.load(Ordering::Relaxed);
            unparker.unpark();
            // If it is left, somebody has to run it.
            platform.host.as_core(Core(0), || SCHEDULER.run());
            assert!(has_run, "a fiber was ready when `run_until_idle` returned");
        });
    });
    last.try_join().unwrap();
}

/// The core that leaves last wakes those that sleep, but here one never leaves before another has.
#[test]
fn a_core_returns_when_the_last_fiber_has_ended_although_another_is_held_up() {
    static CELLS: Cells<1> = Cells::new();
    static OTHER: Cell = Cell::new();
    static SCHEDULER: Scheduler<Odd, 3> = Scheduler::new(Odd::new());

    let platform = SCHEDULER.platform();
    let first = SCHEDULER.builder().on(Core(2));
    // Its core reads the clock next, outside of fibers.
    let end = || platform.is_slow.store(true, Ordering::Relaxed);
    first.spawn(&CELLS, end).unwrap().detach();
    let last = SCHEDULER.builder().on(Core(0));
    let end_last = || {
        while !platform.sleeps(1) || !platform.is_held_up.load(Ordering::Acquire) {
            scheduler::yield_now();
        }
    };
    last.spawn(&OTHER, end_last).unwrap().detach();
    thread::scope(|threads| {
        for core in [0, 2] {
            threads.spawn(move || platform.host.as_core(Core(core), || SCHEDULER.run()));
        }
        threads.spawn(|| {
            // If it is not told that the last fiber has ended, nobody ever wakes it: a hang.
            platform.host.as_core(Core(1), || SCHEDULER.run());
            platform.may_go_on.store(true, Ordering::Release);
        });
    });
}
