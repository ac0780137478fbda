//! The watchdog: what is a soft lockup, what is not, and how often it is reported.

use crate::World;
use core::time::Duration;
use kfiber::platform::{Host, Platform as _};
use kfiber::scheduler::{self, Registers, Scheduler, Watchdog};

const MILLISECOND: u64 = 1_000_000;

/// A millisecond passes, and the timer's handler interrupts the fiber.
fn tick(scheduler: &'static Scheduler<Host>, watchdog: &Watchdog) {
    scheduler.platform().advance(MILLISECOND);
    let now = scheduler.platform().now();
    let interrupted = Registers {
        rip: 0x1234_5678_9abc,
        rsp: 0,
        rbp: 0,
    };
    Host::interrupt(|| watchdog.tick(scheduler, now, interrupted));
}

fn longest(scheduler: &'static Scheduler<Host>, name: &str) -> u64 {
    let mut fibers = scheduler.fibers();
    let fiber = fibers.find(|fiber| fiber.name == name).unwrap();
    fiber.longest_run / MILLISECOND
}

#[test]
fn a_soft_lockup_is_named_once_for_each_run_and_its_longest_is_kept() {
    static WATCHDOG: Watchdog = Watchdog::new(Duration::from_millis(10));
    let world = World::new();
    let (scheduler, kernel) = (world.scheduler, world.kernel);
    world.spawn("hog", move || {
        let reports = || kernel.reports.lock().unwrap().len();
        for _ in 0..11 {
            tick(scheduler, &WATCHDOG);
        }
        assert_eq!(reports(), 0, "seen for nine milliseconds");
        for _ in 0..30 {
            tick(scheduler, &WATCHDOG);
        }
        assert_eq!(reports(), 1, "once");
        scheduler::yield_now();
        for _ in 0..30 {
            tick(scheduler, &WATCHDOG);
        }
        assert_eq!(reports(), 2, "another run");
        assert_eq!(longest(scheduler, "hog"), 39);
    });
    world.spawn("quick", move || {
        tick(scheduler, &WATCHDOG);
        assert_eq!(longest(scheduler, "quick"), 0);
    });
    let reports = world.run();
    // With several cores the report also says who is ready behind it.
    let behind = if cfg!(feature = "smp") {
        "  \"quick\" (@) on core 0 is ready behind it\n"
    } else {
        ""
    };
    assert_eq!(
        reports[0],
        format!(
            "soft lockup: \"hog\" (@) has run for 0.010 s without letting others run\n  it is at @\n\
             {behind}  call `yield_now` in its loops, or do the work in smaller pieces"
        )
    );
}

#[test]
fn one_that_yields_to_nobody_is_no_soft_lockup() {
    static WATCHDOG: Watchdog = Watchdog::new(Duration::from_millis(5));
    let world = World::new();
    let scheduler = world.scheduler;
    world.spawn("alone", move || {
        for _ in 0..100 {
            tick(scheduler, &WATCHDOG);
            scheduler::yield_now();
        }
        assert!(longest(scheduler, "alone") < 5);
    });
    assert_eq!(world.run(), [""; 0]);
}

#[test]
fn those_that_take_turns_between_ticks_are_no_soft_lockups() {
    static WATCHDOG: Watchdog = Watchdog::new(Duration::from_millis(5));
    let world = World::new();
    let scheduler = world.scheduler;
    for name in ["ticked", "other"] {
        world.spawn(name, move || {
            for _ in 0..100 {
                if name == "ticked" {
                    tick(scheduler, &WATCHDOG);
                }
                scheduler::yield_now();
            }
        });
    }
    assert_eq!(world.run(), [""; 0]);
}

#[test]
fn ticks_while_nobody_runs_are_nobodys() {
    static WATCHDOG: Watchdog = Watchdog::new(Duration::from_millis(5));
    let world = World::new();
    let scheduler = world.scheduler;
    world.spawn("sleeper", || {
        scheduler::sleep(Duration::from_millis(1)).unwrap();
    });
    for _ in 0..50 {
        tick(scheduler, &WATCHDOG);
    }
    assert_eq!(world.run(), [""; 0]);
}
