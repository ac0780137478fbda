//! When `run` and `run_until_idle` return.

use crate::cores::{Cell, Cells, here, on_each_core, run, scheduler};
use core::sync::atomic::{AtomicUsize, Ordering};
use kfiber::platform::Core;
use kfiber::scheduler::{self, JoinHandle};
use std::sync::Barrier;

#[test]
fn run_returns_on_every_core_when_the_last_fiber_has_ended_anywhere() {
    static CELL: Cell = Cell::new();
    let scheduler = scheduler::<4>();
    for round in 0..1000 {
        let core = Core(round % 4);
        let fiber = scheduler
            .builder()
            .on(core)
            .spawn(&CELL, move || here(scheduler))
            .unwrap();
        let ends = AtomicUsize::new(0);
        on_each_core(scheduler, || {
            scheduler.run();
            assert!(
                fiber.is_finished(),
                "a core returned before the last fiber had ended"
            );
            ends.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(ends.into_inner(), 4);
        assert_eq!(fiber.try_join().unwrap(), core);
    }
}

#[test]
fn run_until_idle_returns_on_every_core_when_all_fibers_wait() {
    static CELLS: Cells<9> = Cells::new();
    let scheduler = scheduler::<3>();
    let turns: &'static AtomicUsize = Box::leak(Box::default());
    let fibers: Vec<JoinHandle<()>> = (0..9)
        .map(|number| {
            let wait = move || {
                for _ in 0..10 {
                    scheduler::yield_now();
                    turns.fetch_add(1, Ordering::Relaxed);
                }
                scheduler::park().unwrap();
                turns.fetch_add(1, Ordering::Relaxed);
            };
            let builder = scheduler.builder().on(Core(number % 3));
            builder.spawn(&CELLS, wait).unwrap()
        })
        .collect();
    let all = Barrier::new(3);
    on_each_core(scheduler, || {
        for _ in 0..2 {
            all.wait();
            scheduler.run_until_idle();
            all.wait();
            assert_eq!(turns.load(Ordering::Relaxed), 90);
        }
        if all.wait().is_leader() {
            for fiber in &fibers {
                fiber.unparker().unpark();
            }
        }
        all.wait();
        scheduler.run();
        assert_eq!(turns.load(Ordering::Relaxed), 99);
    });
    assert!(fibers.iter().all(JoinHandle::is_finished));
}

#[test]
fn a_core_without_fibers_returns_too() {
    static CELL: Cell = Cell::new();
    let scheduler = scheduler::<8>();
    let fiber = scheduler
        .builder()
        .on(Core(5))
        .spawn(&CELL, || {
            for _ in 0..1000 {
                scheduler::yield_now();
            }
        })
        .unwrap();
    run(scheduler);
    fiber.try_join().unwrap();
}
