//! What is promised about fibers that wait, fail or do not let others run, between cores.

use crate::cores::{Cell, Cells, run, scheduler};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use kfiber::platform::Core;
use kfiber::scheduler::{
    self, AfterDeadlock, AfterStall, Deadlock, FiberState, Hooks, JoinErrorKind, Report, Stall,
    StallKind,
};
use kfiber::sync::{Mutex, WaitQueue};
use std::sync::Mutex as HostMutex;

/// Remembers the reports, and ends the run at a stall.
#[derive(Default)]
struct Log {
    reports: HostMutex<Vec<String>>,
    stalls: HostMutex<Vec<(StallKind, String)>>,
}

impl Hooks for Log {
    fn report(&self, report: &Report<'_>) {
        self.reports.lock().unwrap().push(report.to_string());
    }

    /// The fiber waits, so that all cores sleep.
    fn deadlocked(&self, _: &Deadlock<'_>) -> AfterDeadlock {
        AfterDeadlock::Wait
    }

    fn stalled(&self, stall: &Stall<'_>) -> AfterStall {
        let mut stalls = self.stalls.lock().unwrap();
        stalls.push((stall.kind, stall.to_string()));
        AfterStall::Return
    }
}

fn log() -> &'static Log {
    Box::leak(Box::default())
}

#[test]
fn a_deadlock_across_cores_is_found_when_all_cores_sleep() {
    static CELLS: Cells<3> = Cells::new();
    static LOCKS: [Mutex<()>; 3] = [const { Mutex::new(()) }; 3];
    static READY: AtomicUsize = AtomicUsize::new(0);
    let scheduler = scheduler::<3>();
    let log = log();
    scheduler.set_hooks(log).unwrap();
    for (number, name) in ["first", "second", "third"].into_iter().enumerate() {
        let builder = scheduler.builder().name(name).on(Core(number));
        let lock_two = move || {
            let _mine = LOCKS[number].lock();
            READY.fetch_add(1, Ordering::Relaxed);
            while READY.load(Ordering::Relaxed) < 3 {
                scheduler::yield_now();
            }
            let _other = LOCKS[(number + 1) % 3].lock();
        };
        builder.spawn(&CELLS, lock_two).unwrap().detach();
    }
    run(scheduler);
    let stalls = log.stalls.lock().unwrap();
    let [(kind, text)] = stalls.as_slice() else {
        panic!("{stalls:?}");
    };
    assert_eq!(*kind, StallKind::Deadlocked);
    for name in ["first", "second", "third"] {
        assert!(text.contains(&format!("\"{name}\"")), "{text}");
    }
    assert!(text.contains("cycle"), "{text}");
}

#[test]
fn a_failure_on_one_core_is_told_to_those_of_others_who_wait_for_the_fiber() {
    static CELLS: Cells<4> = Cells::new();
    static LOCK: Mutex<()> = Mutex::new(());
    static QUEUE: WaitQueue = WaitQueue::new();
    static IS_LOCKED: AtomicBool = AtomicBool::new(false);
    let scheduler = scheduler::<3>();
    let log = log();
    scheduler.set_hooks(log).unwrap();
    let bad = scheduler.builder().name("bad").on(Core(0));
    let bad = bad
        .spawn(&CELLS, || {
            let guard = LOCK.lock();
            IS_LOCKED.store(true, Ordering::Relaxed);
            while QUEUE.is_empty() {
                scheduler::yield_now();
            }
            let _kept = core::mem::ManuallyDrop::new(guard);
            panic!("on purpose");
        })
        .unwrap();
    let waiter = scheduler
        .builder()
        .on(Core(1))
        .spawn(&CELLS, || {
            while !IS_LOCKED.load(Ordering::Relaxed) {
                scheduler::yield_now();
            }
            LOCK.lock_timeout(core::time::Duration::from_secs(3600))
                .map(drop)
                .is_err()
        })
        .unwrap();
    let queued = scheduler
        .builder()
        .on(Core(2))
        .spawn(&CELLS, || {
            // The failure makes it look again.
            QUEUE.wait_while(|| !LOCK.is_poisoned()).is_ok()
        })
        .unwrap();
    let joiner = scheduler.builder().on(Core(1)).spawn(&CELLS, move || {
        let error = bad.join().unwrap_err();
        matches!(error.kind, JoinErrorKind::Failed(_))
    });
    run(scheduler);
    assert!(waiter.try_join().unwrap(), "the mutex is poisoned");
    assert!(queued.try_join().unwrap());
    assert!(joiner.unwrap().try_join().unwrap());
    assert_eq!(log.reports.lock().unwrap().len(), 1);
}

#[test]
fn a_hog_on_one_core_does_not_hold_the_others() {
    static CELLS: Cells<4> = Cells::new();
    static TURNS: AtomicUsize = AtomicUsize::new(0);
    let scheduler = scheduler::<2>();
    let hog = || {
        // It never yields, until the fibers of the other core have done their work.
        while TURNS.load(Ordering::Relaxed) < 3000 {
            core::hint::spin_loop();
        }
    };
    let on_first = scheduler.builder().on(Core(0));
    let hog = on_first.spawn(&CELLS, hog).unwrap();
    for _ in 0..3 {
        let work = || {
            for _ in 0..1000 {
                TURNS.fetch_add(1, Ordering::Relaxed);
                scheduler::yield_now();
            }
        };
        let builder = scheduler.builder().on(Core(1));
        builder.spawn(&CELLS, work).unwrap().detach();
    }
    run(scheduler);
    hog.try_join().unwrap();
}

#[test]
fn fibers_of_all_cores_are_listed_while_the_others_run() {
    static CELLS: Cells<4> = Cells::new();
    static LISTER: Cell = Cell::new();
    static IS_LISTED: AtomicBool = AtomicBool::new(false);
    let scheduler = scheduler::<3>();
    for number in 0..4 {
        let spin = || {
            while !IS_LISTED.load(Ordering::Relaxed) {
                scheduler::yield_now();
            }
        };
        let builder = scheduler.builder().name("spinner").on(Core(1 + number % 2));
        builder.spawn(&CELLS, spin).unwrap().detach();
    }
    let lister = scheduler.builder().name("lister").on(Core(0));
    let lister = lister.spawn(&LISTER, || {
        for _ in 0..100 {
            let mut cores = [0; 3];
            for info in scheduler.fibers() {
                cores[info.core.0] += 1;
                match (info.name, info.state) {
                    ("lister", FiberState::Running) => assert_eq!(info.core, Core(0)),
                    // A core that has not called `run` yet is idle.
                    ("spinner", FiberState::OnAnotherCore | FiberState::Ready) => {}
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(cores, [1, 2, 2]);
            assert!(scheduler.high_water_marks().count() >= 1);
            assert!(
                scheduler
                    .wait_graph(|graph| graph.fibers().count())
                    .is_some()
            );
        }
        IS_LISTED.store(true, Ordering::Relaxed);
    });
    run(scheduler);
    lister.unwrap().try_join().unwrap();
}

#[test]
fn a_scope_lends_to_fibers_of_all_cores() {
    static CELLS: Cells<16> = Cells::new();
    static MAIN: Cell = Cell::new();
    let scheduler = scheduler::<4>();
    let main = scheduler.spawn(&MAIN, || {
        let mut numbers = [0_usize; 1600];
        for _ in 0..50 {
            scheduler::scope(|scope| {
                for part in numbers.chunks_mut(100) {
                    let add = || part.iter_mut().for_each(|number| *number += 1);
                    scope.spawn(&CELLS, add).unwrap().detach();
                }
            });
        }
        numbers.iter().sum::<usize>()
    });
    run(scheduler);
    assert_eq!(main.unwrap().try_join().unwrap(), 1600 * 50);
}
