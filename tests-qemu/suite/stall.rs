//! Deadlocks and soft lockups on the bare machine: by name, with real ticks.

use core::{
    hint::spin_loop,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use kfiber::{
    platform::Platform as _,
    scheduler::{
        self, AfterDeadlock, AfterStall, Deadlock, FiberPool, Hooks, Registers, Report, Scheduler,
        Stall, StallKind, Unparker, Watchdog,
    },
    sync::{IrqMutex, Mutex},
};
use tests_qemu::{
    exceptions::TrapFrame,
    interrupts::{on_tick, start_timer, stop_timer},
    kernel_test,
    platform::{self, Bare},
    println,
};
use x86_64::instructions::interrupts;

static SCHEDULER: Scheduler<Bare> = Scheduler::new(platform::bare());
static CELLS: FiberPool<{ 16 * 1024 }, 4> = FiberPool::new();
static LOCKS: [Mutex<()>; 2] = [const { Mutex::new(()) }; 2];
static WATCHDOG: Watchdog = Watchdog::new(Duration::from_millis(5));

static DEADLOCKS: AtomicU64 = AtomicU64::new(0);
static STALLS: AtomicU64 = AtomicU64::new(0);
static SOFT_LOCKUPS: AtomicU64 = AtomicU64::new(0);
static LATE: AtomicU64 = AtomicU64::new(0);
static IDLE: AtomicU64 = AtomicU64::new(0);
/// With a limit for the time in which nobody runs.
static PATIENT: Watchdog =
    Watchdog::new(Duration::from_millis(5)).with_idle_limit(Duration::from_millis(10));

/// Counts what is reported, and looks at it.
struct Told;

impl Hooks for Told {
    fn report(&self, report: &Report<'_>) {
        println!("{report}");
        if let Report::LateTimer(timer) = report {
            LATE.fetch_add(1, Ordering::Relaxed);
            assert!(timer.now - timer.deadline > 100_000_000);
        }
        if let Report::Stall(stall) = report
            && stall.lasts_for > 0
        {
            IDLE.fetch_add(1, Ordering::Relaxed);
            assert_eq!(stall.kind, StallKind::Idle);
            let mut names = stall.graph.fibers().map(|fiber| fiber.name);
            assert_eq!([names.next(), names.next()], [Some("forgotten"), None]);
        }
        if let Report::SoftLockup(lockup) = report {
            SOFT_LOCKUPS.fetch_add(1, Ordering::Relaxed);
            assert_eq!(lockup.name, "hog");
            assert!(lockup.runs_for >= 5_000_000);
            let rsp = usize::try_from(lockup.interrupted.rsp).expect("64 bits");
            assert!(
                lockup.stack.contains(rsp),
                "it is interrupted on its own stack"
            );
        }
    }

    fn deadlocked(&self, deadlock: &Deadlock<'_>) -> AfterDeadlock {
        self.report(&Report::Deadlock(deadlock));
        DEADLOCKS.fetch_add(1, Ordering::Relaxed);
        let mut names = deadlock.fibers().map(|fiber| fiber.name);
        assert_eq!(
            [names.next(), names.next(), names.next()],
            [Some("right"), Some("left"), None]
        );
        AfterDeadlock::Wait
    }

    fn stalled(&self, stall: &Stall<'_>) -> AfterStall {
        self.report(&Report::Stall(stall));
        STALLS.fetch_add(1, Ordering::Relaxed);
        if stall.kind == StallKind::Idle {
            return AfterStall::Sleep;
        }
        assert_eq!(stall.kind, StallKind::Deadlocked);
        AfterStall::Return
    }
}

fn spawn(name: &'static str, body: impl FnOnce() + Send + 'static) {
    let builder = SCHEDULER.builder().name(name);
    builder
        .spawn(&CELLS, body)
        .expect("a cell is free")
        .detach();
}

fn tick(frame: &mut TrapFrame) {
    let interrupted = Registers {
        rip: frame.rip,
        rsp: frame.rsp,
        rbp: frame.rbp,
    };
    WATCHDOG.tick(&SCHEDULER, SCHEDULER.platform().now(), interrupted);
}

/// Looks whether somebody runs, and wakes the fiber that everybody forgot once that was reported.
fn tick_and_wake(frame: &mut TrapFrame) {
    let interrupted = Registers {
        rip: frame.rip,
        rsp: frame.rsp,
        rbp: frame.rbp,
    };
    PATIENT.tick(&SCHEDULER, SCHEDULER.platform().now(), interrupted);
    let ticks = TICKS.fetch_add(1, Ordering::Relaxed) + 1;
    if ticks == 40 {
        let forgotten = FORGOTTEN.lock();
        assert!(forgotten.is_some_and(|forgotten| forgotten.unpark()));
    }
}

static TICKS: AtomicU64 = AtomicU64::new(0);
static FORGOTTEN: IrqMutex<Option<Unparker>> = IrqMutex::new(None);

/// Runs until 500 ms have passed, and looks at the clock all the time, while another fiber sleeps for 50 ms.
fn sleep_while_another_is_busy() {
    spawn("sleeper", || {
        scheduler::sleep(Duration::from_millis(50)).expect("nobody cancels it");
    });
    spawn("busy", || {
        let start = scheduler::now();
        while scheduler::now() < start + 500_000_000 {
            scheduler::yield_now();
        }
    });
}

fn run() {
    interrupts::enable();
    SCHEDULER.run();
    interrupts::disable();
    stop_timer();
}

/// Two fibers that lock in opposite order.
fn close_a_cycle() {
    for (name, first) in [("left", 0), ("right", 1)] {
        spawn(name, move || {
            let _first = LOCKS[first].lock();
            scheduler::yield_now();
            let _second = LOCKS[1 - first].lock();
        });
    }
}

kernel_test! {
    /// Without hooks.
    fn the_lock_that_closes_a_cycle_panics_with_all_who_are_in_it() panics("deadlock: 2 fibers wait for each other") {
        close_a_cycle();
        run();
    }

    /// Without hooks. The end of a scope cannot fail, so it waits though that closes a cycle.
    fn a_run_in_which_nothing_can_ever_wake_any_fiber_panics() panics("nothing can ever wake them") {
        spawn("owner", || {
            let guard = LOCKS[0].lock();
            scheduler::scope(|scope| {
                scope.spawn(&CELLS, || drop(LOCKS[0].lock())).expect("a cell is free").detach();
                scheduler::yield_now();
            });
            drop(guard);
        });
        run();
    }

    fn a_deadlock_is_told_while_others_run_and_the_run_returns_from_the_stall() icount {
        SCHEDULER.set_hooks(&Told).expect("first");
        on_tick(|_| SCHEDULER.timer_interrupt());
        close_a_cycle();
        spawn("alive", || {
            scheduler::sleep(Duration::from_millis(5)).expect("nobody cancels it");
            assert_eq!(DEADLOCKS.load(Ordering::Relaxed), 1);
        });
        run();
        assert_eq!([&DEADLOCKS, &STALLS, &SOFT_LOCKUPS].map(|count| count.load(Ordering::Relaxed)), [1, 1, 0]);
        assert_eq!(SCHEDULER.fibers().count(), 2);
    }

    fn a_kernel_that_forgets_timer_interrupt_is_told_so_once() icount {
        SCHEDULER.set_hooks(&Told).expect("first");
        on_tick(|_| {});
        sleep_while_another_is_busy();
        run();
        assert_eq!([&LATE, &SOFT_LOCKUPS].map(|count| count.load(Ordering::Relaxed)), [1, 0]);
    }

    fn a_kernel_that_calls_timer_interrupt_is_told_nothing() icount {
        SCHEDULER.set_hooks(&Told).expect("first");
        on_tick(|_| SCHEDULER.timer_interrupt());
        sleep_while_another_is_busy();
        run();
        assert_eq!(LATE.load(Ordering::Relaxed), 0);
    }

    fn a_fiber_that_nobody_wakes_is_told_by_the_watchdog_from_the_tick() icount {
        SCHEDULER.set_hooks(&Told).expect("first");
        on_tick(tick_and_wake);
        let fiber = SCHEDULER.builder().name("forgotten").spawn(&CELLS, || {
            start_timer(1_000_000); // from here on it ticks: nobody sleeps, so nobody sets the timer
            scheduler::park().expect("nobody cancels it");
        });
        *FORGOTTEN.lock() = Some(fiber.expect("a cell is free").unparker());
        run();
        assert_eq!([&IDLE, &LATE, &SOFT_LOCKUPS].map(|count| count.load(Ordering::Relaxed)), [1, 0, 0]);
    }

    fn a_soft_lockup_is_named_from_the_timers_handler_once_for_its_run() icount {
        SCHEDULER.set_hooks(&Told).expect("first");
        on_tick(tick);
        spawn("hog", || {
            start_timer(1_000_000); // from here on it ticks: nobody sleeps, so nobody sets the timer
            let start = scheduler::now();
            while scheduler::now() < start + 30_000_000 {
                spin_loop();
            }
            let own = SCHEDULER.fibers().find(|fiber| fiber.name == "hog").expect("it runs");
            assert!((5_000_000..=30_000_000).contains(&own.longest_run), "{own:?}");
        });
        spawn("meek", || {
            let start = scheduler::now();
            while scheduler::now() < start + 30_000_000 {
                scheduler::yield_now();
            }
        });
        run();
        assert_eq!(SOFT_LOCKUPS.load(Ordering::Relaxed), 1);
    }
}
