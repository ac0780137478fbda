//! What the timer's interrupts notice: that they do not come, and that nobody has run for long.

use crate::Kernel;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use kfiber::platform::{Core, Host, Nanoseconds, Platform};
use kfiber::scheduler::{
    self, AfterDeadlock, AfterStall, FiberPool, Registers, Scheduler, Unparker, Watchdog,
};
use std::sync::Mutex;

const SECOND: u64 = 1_000_000_000;

type Cells = FiberPool<65536, 8>;

/// A machine whose clock goes on by a second whenever the processor sleeps, and on which then an interrupt comes.
struct Machine {
    host: Host,
    handler: fn(count: u64),
    interrupts: AtomicU64,
}

// SAFETY: what wakes the scheduler is called by `idle` itself, and `Host` turns the interrupts on.
unsafe impl Platform for Machine {
    fn now(&self) -> Nanoseconds {
        self.host.now()
    }

    fn set_timer(&self, _deadline: Nanoseconds) {}

    fn idle(&self) {
        self.host.advance(SECOND);
        let count = self.interrupts.fetch_add(1, Ordering::Relaxed) + 1;
        Host::interrupt(|| (self.handler)(count));
        self.host.kick(Core(0));
        self.host.idle();
    }
}

const fn machine(handler: fn(u64)) -> Scheduler<Machine> {
    Scheduler::new(Machine {
        host: Host::new(),
        handler,
        interrupts: AtomicU64::new(0),
    })
}

/// Has reports kept.
fn kernel_of(scheduler: &'static Scheduler<Machine>) -> &'static Kernel {
    let kernel: &'static _ = Box::leak(Box::new(Kernel {
        reports: Mutex::default(),
        kinds: Mutex::default(),
        after_deadlock: AfterDeadlock::Wait,
        after_stall: Some(AfterStall::Sleep),
    }));
    scheduler.set_hooks(kernel).unwrap();
    kernel
}

/// The reports that begin so. None is of a fiber that failed an assertion.
#[track_caller]
fn reports_with(kernel: &Kernel, start: &str) -> Vec<String> {
    let reports = kernel.reports.lock().unwrap();
    let failed = reports.iter().find(|report| report.starts_with("fiber"));
    assert_eq!(failed, None);
    let reports = reports.iter().filter(|report| report.starts_with(start));
    reports.cloned().collect()
}

#[test]
fn a_handler_that_forgets_timer_interrupt_is_reported_once() {
    static S: Scheduler<Machine> = machine(|_| ());
    static CELLS: Cells = Cells::new();
    let kernel = kernel_of(&S);
    let sleeper = S.spawn(&CELLS, || {
        for _ in 0..3 {
            scheduler::sleep(Duration::from_millis(50)).unwrap();
        }
    });
    sleeper.unwrap().detach();
    S.run();
    assert_eq!(
        reports_with(kernel, "late timer"),
        [
            "late timer: the timer was set to t = 0.050 s, it is t = 1.000 s now, and `timer_interrupt` has not been called\n  \
            check that the handler of the timer's interrupt calls `Scheduler::timer_interrupt` and ends the interrupt, that it is not \
            masked, and that the platform's `set_timer` asks for it"
        ]
    );
}

#[test]
fn a_timer_whose_handler_does_its_duty_is_not_late_though_it_is_slow() {
    static S: Scheduler<Machine> = machine(|_| S.timer_interrupt());
    static CELLS: Cells = Cells::new();
    let kernel = kernel_of(&S);
    let sleeper = S.spawn(&CELLS, || {
        for _ in 0..3 {
            scheduler::sleep(Duration::from_millis(50)).unwrap();
        }
    });
    sleeper.unwrap().detach();
    S.run();
    assert_eq!(reports_with(kernel, "late timer"), [""; 0]);
}

#[test]
fn a_late_timer_is_noticed_by_a_fiber_that_asks_for_the_time_and_looks_twice() {
    static S: Scheduler<Machine> = machine(|_| ());
    static CELLS: Cells = Cells::new();
    let kernel = kernel_of(&S);
    let late = move || reports_with(kernel, "late timer").len();
    let busy = move || {
        scheduler::yield_now(); // the other goes to sleep
        for _ in 0..5 {
            S.platform().host.advance(30_000_000);
            let _now = scheduler::now();
        }
        assert_eq!(late(), 0, "late by 100 ms");
        S.platform().host.advance(1_000_000);
        let _now = scheduler::now();
        assert_eq!(
            late(),
            0,
            "once is no proof: perhaps the machine itself stood still"
        );
        S.platform().host.advance(101_000_000);
        let _now = scheduler::now();
        assert_eq!(late(), 1, "still late");
        S.platform().host.advance(SECOND);
        let _now = scheduler::now();
        assert_eq!(late(), 1, "once");
    };
    S.spawn(&CELLS, busy).unwrap().detach();
    let sleeper = S.spawn(&CELLS, || {
        scheduler::sleep(Duration::from_millis(50)).unwrap();
    });
    sleeper.unwrap().detach();
    S.run();
    assert_eq!(late(), 1);
}

#[test]
fn a_fiber_that_lets_nobody_run_is_not_a_late_timer() {
    static S: Scheduler<Machine> = machine(|_| S.timer_interrupt());
    static CELLS: Cells = Cells::new();
    let kernel = kernel_of(&S);
    let hog = || {
        scheduler::yield_now(); // the other goes to sleep
        for _ in 0..100 {
            S.platform().host.advance(50_000_000);
            Host::interrupt(|| S.timer_interrupt());
            let _now = scheduler::now();
        }
    };
    S.spawn(&CELLS, hog).unwrap().detach();
    let sleeper = S.spawn(&CELLS, || {
        scheduler::sleep(Duration::from_millis(50)).unwrap();
    });
    sleeper.unwrap().detach();
    S.run();
    assert_eq!(reports_with(kernel, "late timer"), [""; 0]);
}

fn tick(scheduler: &'static Scheduler<Machine>, watchdog: &Watchdog) {
    let interrupted = Registers {
        rip: 0,
        rsp: 0,
        rbp: 0,
    };
    watchdog.tick(scheduler, scheduler.platform().now(), interrupted);
    scheduler.timer_interrupt();
}

/// Seconds that a fiber waits, longer than the idle limit. Under Miri, which takes long for each, fewer of them.
const LONG: u64 = if cfg!(miri) { 7 } else { 20 };

#[test]
fn a_scheduler_in_which_nobody_runs_for_long_is_reported_once_for_each_time() {
    static WATCHDOG: Watchdog =
        Watchdog::new(Duration::from_secs(1)).with_idle_limit(Duration::from_secs(5));
    static S: Scheduler<Machine> = machine(|count| {
        tick(&S, &WATCHDOG);
        // The second time comes after the sleep, and another wait.
        if count == LONG || count == 4 * LONG {
            WAKER.lock().unwrap().unwrap().unpark();
        }
    });
    static CELLS: Cells = Cells::new();
    static WAKER: Mutex<Option<Unparker>> = Mutex::new(None);
    let kernel = kernel_of(&S);
    let fiber = S.builder().name("forgotten").spawn(&CELLS, || {
        scheduler::park().unwrap();
        scheduler::sleep(Duration::from_secs(LONG)).unwrap(); // that is no idle time: the clock ends it
        scheduler::park().unwrap();
    });
    let fiber = fiber.unwrap();
    *WAKER.lock().unwrap() = Some(fiber.unparker());
    S.run();
    let reports = reports_with(kernel, "idle for ");
    assert_eq!(reports.len(), 2, "{reports:#?}");
    for report in reports {
        assert!(
            report.starts_with(
                "idle for 5.000 s: 1 fiber waits, and interrupts may wake it\n  \"forgotten\" (@) waits to be unparked"
            ),
            "{report}"
        );
    }
}

#[test]
fn a_watchdog_without_an_idle_limit_says_nothing_of_those_who_wait() {
    static WATCHDOG: Watchdog = Watchdog::new(Duration::from_secs(1));
    static S: Scheduler<Machine> = machine(|count| {
        tick(&S, &WATCHDOG);
        if count == 5 * LONG {
            FIBER.lock().unwrap().unwrap().unpark();
        }
    });
    static CELLS: Cells = Cells::new();
    static FIBER: Mutex<Option<Unparker>> = Mutex::new(None);
    let kernel = kernel_of(&S);
    let fiber = S.spawn(&CELLS, || scheduler::park().unwrap()).unwrap();
    *FIBER.lock().unwrap() = Some(fiber.unparker());
    S.run();
    assert_eq!(reports_with(kernel, "idle for "), [""; 0]);
}
