//! What a scheduler of several cores tells about its fibers: deadlocks across cores, hogs, lists, and who waits.

use core::{
    array,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use kfiber::{
    platform::Core,
    platform::Platform as _,
    scheduler::{
        AfterDeadlock, AfterStall, Deadlock, FiberPool, Hooks, Registers, Report, Scheduler, Stall,
        StallKind, WaitGraph, Watchdog, yield_now,
    },
    sync::Mutex,
};
use tests_qemu::{
    cores,
    interrupts::{on_tick, start_timer},
    kernel_test,
    platform::Cores,
    println,
};
use x86_64::instructions::interrupts;

use crate::{machine::start_cores, team::STACK};

static SCHEDULER: Scheduler<Cores, 4> = Scheduler::new(Cores::new());
static CELLS: FiberPool<STACK, 16> = FiberPool::new();
static LOCKS: [Mutex<()>; 3] = [const { Mutex::new(()) }; 3];
static WATCHDOGS: [Watchdog; 4] = [const { Watchdog::new(Duration::from_millis(20)) }; 4];

static DEADLOCKS: AtomicUsize = AtomicUsize::new(0);
static STALLS: AtomicUsize = AtomicUsize::new(0);
static HOGS: AtomicUsize = AtomicUsize::new(0);
static LOCKED: AtomicUsize = AtomicUsize::new(0);
static DONE: AtomicUsize = AtomicUsize::new(0);

struct Told;

impl Hooks for Told {
    fn report(&self, report: &Report<'_>) {
        println!("{report}");
        if let Report::SoftLockup(lockup) = report {
            assert_eq!(lockup.name, "hog");
            let mut delayed = lockup.delayed().map(|it| (it.name, it.core.0));
            assert_eq!(delayed.next(), Some(("waits", 1)), "who waits for it");
            assert_eq!(delayed.next(), None);
            HOGS.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn deadlocked(&self, deadlock: &Deadlock<'_>) -> AfterDeadlock {
        println!("{deadlock}");
        assert_eq!(deadlock.fibers().count(), 3, "fibers in the cycle");
        DEADLOCKS.fetch_add(1, Ordering::Relaxed);
        AfterDeadlock::Wait
    }

    fn stalled(&self, stall: &Stall<'_>) -> AfterStall {
        if stall.kind == StallKind::Idle {
            return AfterStall::Sleep;
        }
        println!("{stall}");
        let mut names = [""; 3];
        for (place, fiber) in names.iter_mut().zip(stall.graph.fibers()) {
            *place = fiber.name;
        }
        names.sort_unstable();
        assert_eq!(names, ["left", "middle", "right"]);
        STALLS.fetch_add(1, Ordering::Relaxed);
        AfterStall::Return
    }
}

kernel_test! {
    /// Three fibers of three cores lock in a circle. All cores are told to return.
    fn a_deadlock_across_cores_is_reported_with_all_its_fibers() cores(4) timeout(60) {
        start();
        for (index, name) in ["left", "middle", "right"].into_iter().enumerate() {
            let body = move || {
                let _first = LOCKS[index].lock();
                LOCKED.fetch_add(1, Ordering::AcqRel);
                while LOCKED.load(Ordering::Acquire) < 3 {
                    yield_now();
                }
                let _second = LOCKS[(index + 1) % 3].lock();
            };
            let builder = SCHEDULER.builder().name(name).on(Core(1 + index));
            builder.spawn(&CELLS, body).expect("a cell is free").detach();
        }
        run();
        let stalls = STALLS.load(Ordering::Relaxed);
        let deadlocks = DEADLOCKS.load(Ordering::Relaxed);
        assert!(deadlocks <= 1 && stalls == 1, "{deadlocks} deadlocks and {stalls} stalls were reported");
    }

    fn a_hog_is_named_by_the_watchdog_of_its_core() cores(4) timeout(60) {
        start();
        on_tick(|frame| {
            let interrupted = Registers { rip: frame.rip, rsp: frame.rsp, rbp: frame.rbp };
            WATCHDOGS[cores::this()].tick(&SCHEDULER, SCHEDULER.platform().now(), interrupted);
            SCHEDULER.timer_interrupt();
        });
        let hog = SCHEDULER.builder().name("hog").on(Core(2)).spawn(&CELLS, || {
            let _held = LOCKS[0].lock();
            let waits = SCHEDULER.builder().name("waits").on(Core(1));
            waits.spawn(&CELLS, || drop(LOCKS[0].lock())).expect("a cell is free").detach();
            let is_waiting = |graph: &WaitGraph<'_>| graph.fibers().count() == 1;
            while SCHEDULER.wait_graph(is_waiting) != Some(true) {
                yield_now();
            }
            start_timer(5_000_000);
            while HOGS.load(Ordering::Acquire) == 0 {
                core::hint::spin_loop();
            }
        });
        run();
        hog.expect("a cell is free").try_join().expect("it has ended");
        assert_eq!(HOGS.load(Ordering::Relaxed), 1);
    }

    /// One fiber looks at all of them while other cores make and end them.
    fn fibers_are_listed_while_other_cores_make_and_end_them() cores(4) timeout(60) {
        start();
        busy_cores();
        let looks = SCHEDULER.builder().name("looks").on(Core(0)).spawn(&CELLS, || {
            let mut most = 0;
            for _ in 0..100 {
                let mut count = 0;
                for fiber in SCHEDULER.fibers() {
                    assert!(["busy", "child", "looks"].contains(&fiber.name), "{:?}", fiber.name);
                    count += 1;
                }
                assert!(count <= 16);
                most = most.max(count);
                for mark in SCHEDULER.high_water_marks() {
                    assert!(mark.usage.used_bytes <= mark.usage.size_bytes);
                }
                yield_now();
            }
            DONE.store(1, Ordering::Release);
            most
        });
        run();
        let most = looks.expect("a cell is free").try_join().expect("it has ended");
        println!("{most} fibers at once");
        assert!(most > 1, "no other fiber was seen");
    }

    fn waits_are_shown_while_other_cores_change_them() cores(4) timeout(60) {
        start();
        busy_cores();
        let looks = SCHEDULER.builder().name("looks").on(Core(0)).spawn(&CELLS, || {
            for _ in 0..200 {
                let waiting = SCHEDULER.wait_graph(|graph| graph.fibers().count());
                assert!(waiting.unwrap_or(0) <= 16);
                yield_now();
            }
            DONE.store(1, Ordering::Release);
        });
        run();
        looks.expect("a cell is free").try_join().expect("it has ended");
    }
}

fn start() {
    start_cores();
    on_tick(|_| SCHEDULER.timer_interrupt());
    SCHEDULER.set_hooks(&Told).expect("the first");
}

fn run() {
    cores::on_all(|_| {
        interrupts::enable();
        SCHEDULER.run();
    });
}

/// Has all cores but the first make, join and end fibers, until the test is done.
fn busy_cores() {
    let _handles: [(); 3] = array::from_fn(|index| {
        let builder = SCHEDULER.builder().name("busy").on(Core(1 + index));
        let body = || {
            while DONE.load(Ordering::Acquire) == 0 {
                let child = SCHEDULER.builder().name("child").spawn(&CELLS, || {
                    let _held = LOCKS[0].lock();
                    yield_now();
                });
                if let Ok(child) = child {
                    child.join().expect("nobody cancels it");
                }
            }
        };
        builder
            .spawn(&CELLS, body)
            .expect("a cell is free")
            .detach();
    });
}
