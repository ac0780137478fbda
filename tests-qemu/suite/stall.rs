//! Deadlocks and hogs on the bare machine: by name, with real ticks.

use core::{
    hint::spin_loop,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use kfiber::{
    platform::Platform as _,
    scheduler::{
        self, AfterDeadlock, AfterStall, Deadlock, FiberPool, Hooks, Outlook, Registers, Report,
        Scheduler, Stall, Watchdog,
    },
    sync::Mutex,
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
static HOGS: AtomicU64 = AtomicU64::new(0);

/// Counts what is reported, and looks at it.
struct Told;

impl Hooks for Told {
    fn report(&self, report: &Report<'_>) {
        println!("{report}");
        if let Report::Hog(hog) = report {
            HOGS.fetch_add(1, Ordering::Relaxed);
            assert_eq!(hog.name, "hog");
            assert!(hog.runs_for >= 5_000_000);
            let rsp = usize::try_from(hog.interrupted.rsp).expect("64 bits");
            assert!(
                hog.stack.contains(rsp),
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
        assert_eq!(stall.outlook, Outlook::Impossible);
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

fn run() {
    interrupts::enable();
    SCHEDULER.run();
    interrupts::disable();
    stop_timer();
}

/// Two fibers that lock in opposite order.
fn close_a_circle() {
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
    fn the_lock_that_closes_a_circle_panics_with_all_who_are_in_it() panics("deadlock: 2 fibers wait for each other") {
        close_a_circle();
        run();
    }

    /// Without hooks. The end of a scope cannot fail, so it waits though that closes a circle.
    fn a_run_in_which_nothing_can_ever_wake_any_fiber_panics() panics("nothing can ever wake any") {
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

    fn a_deadlock_is_told_while_others_run_and_the_run_returns_from_the_stall() {
        SCHEDULER.set_hooks(&Told).expect("first");
        on_tick(|_| SCHEDULER.timer_interrupt());
        close_a_circle();
        spawn("alive", || {
            scheduler::sleep(Duration::from_millis(5)).expect("nobody cancels it");
            assert_eq!(DEADLOCKS.load(Ordering::Relaxed), 1);
        });
        run();
        assert_eq!([&DEADLOCKS, &STALLS, &HOGS].map(|count| count.load(Ordering::Relaxed)), [1, 1, 0]);
        assert_eq!(SCHEDULER.fibers().count(), 2);
    }

    fn a_hog_is_named_from_the_timers_handler_once_for_its_run() icount {
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
        assert_eq!(HOGS.load(Ordering::Relaxed), 1);
    }
}
