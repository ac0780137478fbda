//! What a fiber can know of the fibers of other cores, which run meanwhile.

use crate::cores::{Cells, run, scheduler};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use kfiber::platform::Core;
use kfiber::scheduler::{self, FiberState, WaitReason, WaitsFor};
use kfiber::sync::{Mutex, Semaphore};

#[test]
fn what_fibers_of_running_cores_wait_for_is_shown_with_who_has_it() {
    static CELLS: Cells<5> = Cells::new();
    static LOCK: Mutex<()> = Mutex::new(());
    static NEVER: Semaphore = Semaphore::new(0);
    static IS_SHOWN: AtomicBool = AtomicBool::new(false);
    let scheduler = scheduler::<3>();
    // It has the lock, and runs on core 1 without ever letting others run.
    let busy = scheduler.builder().name("busy").on(Core(1));
    let hold = || {
        let guard = LOCK.lock();
        while !IS_SHOWN.load(Ordering::Acquire) {
            core::hint::spin_loop();
        }
        drop(guard);
        NEVER.release(1).unwrap();
    };
    busy.spawn(&CELLS, hold).unwrap().detach();
    let busier = scheduler.builder().name("ready").on(Core(2));
    let run_on = || {
        while !IS_SHOWN.load(Ordering::Acquire) {
            scheduler::yield_now();
        }
    };
    busier.spawn(&CELLS, run_on).unwrap().detach();
    let spawn_waiters = || {
        while LOCK.try_lock().is_some() {
            scheduler::yield_now();
        }
        let locks = scheduler.builder().name("locks").on(Core(2));
        locks.spawn(&CELLS, || drop(LOCK.lock())).unwrap().detach();
        let parks = scheduler.builder().name("parks").on(Core(2));
        let acquire = || NEVER.acquire().unwrap();
        parks.spawn(&CELLS, acquire).unwrap().detach();
        let is_waiting = |state: &FiberState| matches!(state, FiberState::Waiting { .. });
        while scheduler
            .fibers()
            .filter(|it| is_waiting(&it.state))
            .count()
            < 2
        {
            scheduler::yield_now();
        }
        for info in scheduler.fibers() {
            match (info.name, info.state) {
                (
                    "locks",
                    FiberState::Waiting {
                        reason, location, ..
                    },
                ) => {
                    assert_eq!(reason, WaitReason::Mutex);
                    assert_eq!(location.file(), file!());
                }
                ("parks", FiberState::Waiting { reason, .. }) => {
                    assert_eq!(reason, WaitReason::Semaphore);
                }
                ("busy" | "ready", FiberState::OnAnotherCore) => {}
                ("looks", FiberState::Running) => {}
                other => panic!("{other:?}"),
            }
        }
        let mut measured: Vec<&str> = scheduler.high_water_marks().map(|it| it.name).collect();
        measured.sort_unstable();
        assert_eq!(measured, ["locks", "looks", "parks"]);
        scheduler
            .wait_graph(|graph| {
                let mut names: Vec<&str> = graph.fibers().map(|it| it.name).collect();
                names.sort_unstable();
                assert_eq!(names, ["locks", "parks"], "{graph}");
                let locks = graph.fibers().find(|it| it.name == "locks").unwrap();
                assert!(
                    matches!(locks.waits_for, WaitsFor::Fiber { name: "busy", .. }),
                    "{graph}"
                );
                assert!(graph.to_string().contains("\"busy\""), "{graph}");
            })
            .unwrap();
        IS_SHOWN.store(true, Ordering::Release);
    };
    let looks = scheduler.builder().name("looks").on(Core(0));
    let looks = looks.spawn(&CELLS, spawn_waiters).unwrap();
    run(scheduler);
    looks.try_join().unwrap();
}

/// A graph that is read while what it shows changes has a fiber that waits for itself, or that waits for
/// a lock whose owner waits in the line of the same lock.
#[test]
fn what_a_graph_shows_of_other_cores_does_not_change_while_it_is_shown() {
    static CELLS: Cells<9> = Cells::new();
    static LOCKS: [Mutex<u64>; 2] = [const { Mutex::new(0) }; 2];
    static IS_DONE: AtomicBool = AtomicBool::new(false);
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    let scheduler = scheduler::<3>();
    for number in 0..8 {
        let core = Core(1 + number % 2);
        let work = || {
            while !IS_DONE.load(Ordering::Relaxed) {
                let mut first = LOCKS[0].lock();
                *first += 1;
                scheduler::yield_now();
                let mut second = LOCKS[1].lock();
                scheduler::yield_now();
                *second += 1;
            }
        };
        let builder = scheduler.builder().on(core);
        builder.spawn(&CELLS, work).unwrap().detach();
    }
    let look = || {
        while SEEN.load(Ordering::Relaxed) < 2000 {
            scheduler
                .wait_graph(|graph| {
                    let before = graph.to_string();
                    assert_eq!(graph.cycles().count(), 0, "{graph}");
                    for fiber in graph.fibers() {
                        assert!(!fiber.is_stuck, "{before}");
                        SEEN.fetch_add(1, Ordering::Relaxed);
                    }
                    let fibers = |text: &str| -> Vec<String> {
                        let lines = text.lines();
                        // Who has the lock may be a fiber that runs, and may end its turn.
                        let who = |line: &str| line.split(" at ").next().map(str::to_owned);
                        lines.filter_map(who).collect()
                    };
                    assert_eq!(fibers(&graph.to_string()), fibers(&before));
                })
                .unwrap();
            scheduler::yield_now();
        }
        IS_DONE.store(true, Ordering::Relaxed);
    };
    let looks = scheduler.builder().name("looks").on(Core(0));
    let looks = looks.spawn(&CELLS, look).unwrap();
    run(scheduler);
    looks.try_join().unwrap();
}
