//! A fiber that fails on one core while a fiber of another core is about to wait for what it holds.
use crate::cores::{Cell, Cells, on_each_core};
use core::sync::atomic::{AtomicBool, Ordering};
use kfiber::platform::{Core, Host, Nanoseconds, Platform};
use kfiber::scheduler::{Hooks, Report, Scheduler};
use kfiber::sync::{LockError, Mutex};
use std::sync::Barrier;
use std::thread;

/// A host whose clock can hold a fiber of core 1 up, between the check of what it waits for and the
/// wait.
struct SlowClock {
    host: Host,
    /// Whether the next look at the clock on core 1 takes long.
    is_slow: AtomicBool,
    /// Whether that look has begun.
    is_looking: AtomicBool,
    /// Whether it may end.
    may_go_on: AtomicBool,
}

/// Waits until another core sets a flag.
fn await_flag(flag: &AtomicBool) {
    while !flag.load(Ordering::Acquire) {
        thread::yield_now();
    }
}

// SAFETY: it does what the host does.
unsafe impl Platform for SlowClock {
    fn now(&self) -> Nanoseconds {
        if self.core() == Core(1) && self.is_slow.swap(false, Ordering::Relaxed) {
            self.is_looking.store(true, Ordering::Release);
            await_flag(&self.may_go_on);
        }
        self.host.now()
    }

    fn set_timer(&self, deadline: Nanoseconds) {
        self.host.set_timer(deadline);
    }

    fn idle(&self) {
        self.host.idle();
    }

    fn late_timer_limit(&self) -> Nanoseconds {
        self.host.late_timer_limit()
    }

    fn core(&self) -> Core {
        self.host.core()
    }

    fn kick(&self, core: Core) {
        self.host.kick(core);
    }
}

struct Silent;

impl Hooks for Silent {
    fn report(&self, _: &Report<'_>) {}
}

#[test]
fn a_fiber_that_is_about_to_wait_notices_a_failure_on_another_core() {
    static CELLS: Cells<2> = Cells::new();
    static WAITER: Cell = Cell::new();
    static MUTEX: Mutex<()> = Mutex::new(());
    static SCHEDULER: Scheduler<SlowClock, 2> = Scheduler::new(SlowClock {
        host: Host::new(),
        is_slow: AtomicBool::new(false),
        is_looking: AtomicBool::new(false),
        may_go_on: AtomicBool::new(false),
    });
    static IS_LOCKED: AtomicBool = AtomicBool::new(false);

    SCHEDULER.set_hooks(&Silent).unwrap();
    let clock = SCHEDULER.platform();
    let owner = SCHEDULER.builder().on(Core(0));
    let fail = || {
        let _kept = core::mem::ManuallyDrop::new(MUTEX.lock());
        IS_LOCKED.store(true, Ordering::Release);
        await_flag(&SCHEDULER.platform().is_looking);
        panic!("the owner fails");
    };
    owner.spawn(&CELLS, fail).unwrap().detach();
    // It runs after the owner has left.
    let next = SCHEDULER.builder().on(Core(0));
    next.spawn(&CELLS, || clock.may_go_on.store(true, Ordering::Release))
        .unwrap()
        .detach();
    let waiter = SCHEDULER.builder().on(Core(1));
    let wait = || {
        await_flag(&IS_LOCKED);
        clock.is_slow.store(true, Ordering::Relaxed);
        MUTEX.lock_until(1_000_000).map(drop)
    };
    let waiter = waiter.spawn(&WAITER, wait).unwrap();

    let all = Barrier::new(2);
    thread::scope(|threads| {
        for core in 0..2 {
            let run = || {
                all.wait();
                SCHEDULER.run();
            };
            threads.spawn(move || clock.host.as_core(Core(core), run));
        }
    });
    assert_eq!(waiter.try_join().unwrap(), Err(LockError::Poisoned));
    assert_eq!(clock.host.now(), 0, "it has not waited for its deadline");
}

/// Says whether a mutex is poisoned while its owner, which fails, is reported.
struct Asks {
    is_poisoned: fn() -> bool,
    was_poisoned: AtomicBool,
    is_asked: AtomicBool,
}

impl Hooks for Asks {
    fn report(&self, _: &Report<'_>) {
        self.was_poisoned
            .store((self.is_poisoned)(), Ordering::Relaxed);
        self.is_asked.store(true, Ordering::Relaxed);
    }
}

/// Until then the fiber runs code of the kernel, and may own what others must not take away.
#[test]
fn a_mutex_is_poisoned_when_the_failure_of_its_owner_was_reported() {
    static SCHEDULER: Scheduler<Host, 2> = Scheduler::new(Host::new());
    static OWNER: Cell = Cell::new();
    static MUTEX: Mutex<()> = Mutex::new(());
    static HOOKS: Asks = Asks {
        is_poisoned: || MUTEX.is_poisoned(),
        was_poisoned: AtomicBool::new(false),
        is_asked: AtomicBool::new(false),
    };
    SCHEDULER.set_hooks(&HOOKS).unwrap();
    let owner = SCHEDULER.builder().on(Core(1)).spawn(&OWNER, || {
        let _leaked = core::mem::ManuallyDrop::new(MUTEX.lock());
        panic!("while it owns the mutex");
    });
    owner.unwrap().detach();
    on_each_core(&SCHEDULER, || SCHEDULER.run());
    assert!(HOOKS.is_asked.load(Ordering::Relaxed));
    assert!(!HOOKS.was_poisoned.load(Ordering::Relaxed), "too early");
    assert!(MUTEX.is_poisoned());
}
