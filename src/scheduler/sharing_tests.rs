//! Tests of what a loop gives to one that sleeps, between two threads that play cores. Each waits until
//! the other core sleeps, so that nothing depends on time.

#![cfg(all(target_os = "linux", not(miri), not(kfiber_threads)))]

use crate::platform::{Core, Host, Platform as _};
use crate::scheduler::{FiberCell, FiberPool, Scheduler, yield_now};
use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

extern crate std;
use std::thread;

type TwoCores = Scheduler<Host, 2>;

fn await_sleep_of_other(scheduler: &'static TwoCores) {
    while scheduler.team.roster.sleepers() & 2 == 0 {
        spin_loop();
    }
}

fn spin_until(flag: &AtomicBool) {
    while !flag.load(SeqCst) {
        spin_loop();
    }
}

/// Runs `driver` as a fiber that stays on core 0. While it is in `await_jobs`, jobs are spawned from outside, so that all
/// of them begin on core 0. Returns how many ran on core 1.
fn jobs_on_other<const JOBS: usize>(
    scheduler: &'static TwoCores,
    cells: &'static FiberPool<65536, JOBS>,
    driver: impl FnOnce(&dyn Fn()) + Send + 'static,
    job: impl Fn() + Copy + Send + 'static,
) -> usize {
    static DRIVER: [FiberCell<65536>; 2] = [const { FiberCell::new() }; 2];
    static IN_USE: AtomicUsize = AtomicUsize::new(0);
    /// What a run has for itself.
    #[derive(Default)]
    struct Run {
        is_ready: AtomicBool,
        is_spawned: AtomicBool,
        on_other: AtomicUsize,
    }

    let run: &'static Run = std::boxed::Box::leak(std::boxed::Box::default());
    let cell = &DRIVER[IN_USE.fetch_add(1, SeqCst)];
    let await_jobs = move || {
        await_sleep_of_other(scheduler);
        run.is_ready.store(true, SeqCst);
        spin_until(&run.is_spawned);
    };
    let driver = move || driver(&await_jobs);
    let driver = scheduler.builder().on(Core(0)).spawn(cell, driver);
    driver.expect("a new cell").detach();
    thread::scope(|threads| {
        for core in 0..2 {
            threads.spawn(move || {
                scheduler.platform().as_core(Core(core), || scheduler.run());
            });
        }
        spin_until(&run.is_ready);
        for _ in 0..JOBS {
            let job = move || {
                if scheduler.platform().core() == Core(1) {
                    run.on_other.fetch_add(1, SeqCst);
                    job();
                }
            };
            scheduler.spawn(cells, job).expect("a free cell").detach();
        }
        run.is_spawned.store(true, SeqCst);
    });
    run.on_other.load(SeqCst)
}

#[test]
fn a_loop_that_sleeps_gets_as_many_of_many_fibers_as_stay() {
    static SCHEDULER: TwoCores = Scheduler::new(Host::new());
    static CELLS: FiberPool<65536, 299> = FiberPool::new();
    static IS_DONE: AtomicBool = AtomicBool::new(false);
    // The driver and the jobs are three hundred. The other core cannot ask again before the driver's
    // next turn, which comes when all that stay have run.
    let driver = |await_jobs: &dyn Fn()| {
        await_jobs();
        yield_now();
        IS_DONE.store(true, SeqCst);
        // Until then this core has no time for any that the other would give back.
        await_sleep_of_other(&SCHEDULER);
    };
    let on_other = jobs_on_other(&SCHEDULER, &CELLS, driver, || spin_until(&IS_DONE));
    assert_eq!(on_other, 150);
}

#[test]
fn fibers_that_end_without_a_yield_do_not_keep_the_others_from_a_loop_that_sleeps() {
    static SCHEDULER: TwoCores = Scheduler::new(Host::new());
    static CELLS: FiberPool<65536, 3> = FiberPool::new();
    let driver = |await_jobs: &dyn Fn()| await_jobs();
    let on_other = jobs_on_other(&SCHEDULER, &CELLS, driver, || ());
    assert!(on_other > 0, "all ran on the core that was busy");
}
