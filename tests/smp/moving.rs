//! Ready fibers go to cores that sleep, unless they are pinned or have begun on a host's thread.

use crate::cores::{Cell, Cells, here, run, scheduler};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use kfiber::platform::Core;
use kfiber::scheduler::{self, JoinHandle, MoveError, Priority};

const MOVABLE: usize = 60;
const PINNED: usize = 4;

#[test]
fn an_unbalanced_load_is_spread_and_pinned_fibers_stay() {
    static CELLS: Cells<{ MOVABLE + PINNED + 4 }> = Cells::new();
    let scheduler = scheduler::<4>();
    let is_ready: &'static AtomicBool = Box::leak(Box::default());
    let ran_on: &'static [AtomicUsize; 4] = Box::leak(Box::default());
    let pinned_ran: &'static AtomicUsize = Box::leak(Box::default());
    // The other cores are busy until all fibers are spawned, so all begin on core 0.
    for core in 1..4 {
        let busy = || {
            while !is_ready.load(Ordering::Acquire) {
                scheduler::yield_now();
            }
        };
        let builder = scheduler.builder().on(Core(core));
        builder.spawn(&CELLS, busy).unwrap().detach();
    }
    let main = scheduler
        .builder()
        .on(Core(0))
        .priority(Priority::HIGHEST)
        .spawn(&CELLS, move || {
            for _ in 0..PINNED {
                let run_here = move || {
                    assert_eq!(here(scheduler), Core(0));
                    pinned_ran.fetch_add(1, Ordering::Relaxed);
                };
                let builder = scheduler.builder().on(Core(0));
                builder.spawn(&CELLS, run_here).unwrap().detach();
            }
            for _ in 0..MOVABLE {
                let run_anywhere = move || {
                    ran_on[here(scheduler).0].fetch_add(1, Ordering::Relaxed);
                };
                let child = scheduler.builder().spawn(&CELLS, run_anywhere);
                child.unwrap().detach();
            }
            is_ready.store(true, Ordering::Release);
            // This fiber has the highest level, so none of them ever runs on this core.
            let count = || {
                ran_on
                    .iter()
                    .map(|it| it.load(Ordering::Relaxed))
                    .sum::<usize>()
            };
            while count() != MOVABLE {
                scheduler::yield_now();
            }
            assert_eq!(pinned_ran.load(Ordering::Relaxed), 0, "a pinned one moved");
        })
        .unwrap();
    run(scheduler);
    main.try_join().unwrap();
    assert_eq!(ran_on[0].load(Ordering::Relaxed), 0);
    assert_eq!(pinned_ran.load(Ordering::Relaxed), PINNED);
}

#[test]
fn a_fiber_that_has_begun_on_a_host_stays_on_its_thread() {
    static CELLS: Cells<16> = Cells::new();
    let scheduler = scheduler::<2>();
    let fibers: Vec<JoinHandle<()>> = (0..16)
        .map(|_| {
            let stay = move || {
                let core = here(scheduler);
                for _ in 0..1000 {
                    scheduler::yield_now();
                    assert_eq!(here(scheduler), core);
                }
            };
            scheduler.spawn(&CELLS, stay).unwrap()
        })
        .collect();
    run(scheduler);
    for fiber in fibers {
        fiber.try_join().unwrap();
    }
}

#[test]
fn moving_on_a_host_is_refused() {
    static CELL: Cell = Cell::new();
    let scheduler = scheduler::<2>();
    let fiber = scheduler.builder().on(Core(1)).spawn(&CELL, || {
        [0, 1, 2].map(|core| scheduler::move_to(Core(core)))
    });
    run(scheduler);
    let expected = [
        Err(MoveError::NotOnHost),
        Ok(()),
        Err(MoveError::NoSuchCore),
    ];
    assert_eq!(fiber.unwrap().try_join().unwrap(), expected);
}
