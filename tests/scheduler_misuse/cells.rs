//! Cells in use, pools that are empty, and cells that are free again.

use super::{Cells, fresh, in_fiber};
use core::sync::atomic::{AtomicU32, Ordering};
use kfiber::platform::Host;
use kfiber::scheduler::{
    self, FiberCell, FiberPool, GuardedFiberCell, GuardedFiberPool, Scheduler, SpawnErrorKind,
};

#[test]
fn a_cell_in_use_is_refused_and_the_closure_comes_back() {
    static CELL: FiberCell<65536> = FiberCell::new();
    let (scheduler, _) = fresh();
    let first = scheduler.spawn(&CELL, || 1).unwrap();
    let text = String::from("kept");
    let error = scheduler.spawn(&CELL, move || text).unwrap_err();
    assert_eq!(error.kind, SpawnErrorKind::CellInUse);
    assert_eq!((error.closure)(), "kept");
    scheduler.run();
    assert_eq!(first.try_join().unwrap(), 1);
}

#[test]
fn a_cell_is_in_use_until_its_result_was_taken() {
    static CELL: FiberCell<65536> = FiberCell::new();
    let (scheduler, _) = fresh();
    let first = scheduler.spawn(&CELL, || 1).unwrap();
    scheduler.run();
    let kind = scheduler.spawn(&CELL, || 2).unwrap_err().kind;
    assert_eq!(kind, SpawnErrorKind::CellInUse);
    first.try_join().unwrap();
    let second = scheduler.spawn(&CELL, || 2).unwrap();
    scheduler.run();
    assert_eq!(second.try_join().unwrap(), 2);
}

#[test]
fn a_pool_that_is_empty_says_how_many_cells_it_has() {
    let (scheduler, cells) = fresh();
    let fibers = [(); 4].map(|()| scheduler.spawn(cells, || ()).unwrap());
    let error = scheduler.spawn(cells, || 7).unwrap_err();
    assert_eq!(error.kind, SpawnErrorKind::PoolExhausted { count: 4 });
    assert!(error.to_string().contains("all 4 cells"), "{error}");
    assert_eq!((error.closure)(), 7);
    drop(fibers);
    scheduler.run();
    assert!(scheduler.spawn(cells, || ()).is_ok());
    scheduler.run();
}

#[test]
fn a_pool_gives_out_every_cell_many_times() {
    in_fiber(|scheduler, cells| {
        for round in 0..if cfg!(miri) { 3 } else { 200 } {
            let fibers = [0, 1, 2].map(|n| scheduler.spawn(cells, move || n + round).unwrap());
            assert!(scheduler.spawn(cells, || ()).is_err());
            assert_eq!(
                fibers.map(|fiber| fiber.join().unwrap()),
                [round, 1 + round, 2 + round]
            );
        }
    });
}

#[test]
fn a_cell_of_another_scheduler_is_refused() {
    static CELL: FiberCell<65536> = FiberCell::new();
    let ((first, _), (second, _)) = (fresh(), fresh());
    let fiber = first.spawn(&CELL, || 1).unwrap();
    first.run();
    fiber.try_join().unwrap();
    let error = second.spawn(&CELL, || 2).unwrap_err();
    assert_eq!(error.kind, SpawnErrorKind::OtherScheduler);
    assert!(error.to_string().contains("another scheduler"));
    assert_eq!((error.closure)(), 2);
    // It is not lost for its own.
    let fiber = first.spawn(&CELL, || 3).unwrap();
    first.run();
    assert_eq!(fiber.try_join().unwrap(), 3);
}

#[test]
fn a_closure_that_was_refused_is_dropped_once() {
    struct Counted;
    static DROPS: AtomicU32 = AtomicU32::new(0);
    impl Drop for Counted {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (scheduler, cells) = fresh();
    let fibers = [(); 4].map(|()| scheduler.spawn(cells, || ()).unwrap());
    let counted = Counted;
    let refused = scheduler.spawn(cells, move || drop(counted)).unwrap_err();
    assert_eq!(DROPS.load(Ordering::Relaxed), 0);
    drop(refused);
    assert_eq!(DROPS.load(Ordering::Relaxed), 1);
    scheduler.run();
    drop(fibers);
}

#[test]
fn errors_of_spawning_say_what_to_do() {
    let texts = [
        SpawnErrorKind::CellInUse,
        SpawnErrorKind::PoolExhausted { count: 3 },
        SpawnErrorKind::OtherScheduler,
    ]
    .map(|kind| kind.to_string());
    assert!(texts[0].contains("join its fiber or drop the handle"));
    assert!(texts[1].contains("all 3 cells") && texts[1].contains("make the pool larger"));
    assert!(texts[2].contains("cells of its own"));
}

#[test]
fn guarded_cells_and_pools_work_alike() {
    static CELL: GuardedFiberCell<65536> = GuardedFiberCell::new();
    static POOL: GuardedFiberPool<65536, 2> = GuardedFiberPool::new();
    let (scheduler, _) = fresh();
    let one = scheduler.spawn(&CELL, || 1).unwrap();
    let two = [2, 3].map(|n| scheduler.spawn(&POOL, move || n).unwrap());
    assert!(scheduler.spawn(&POOL, || ()).is_err());
    assert!(scheduler.spawn(&CELL, || ()).is_err());
    scheduler.run();
    assert_eq!(one.try_join().unwrap(), 1);
    assert_eq!(two.map(|fiber| fiber.try_join().unwrap()), [2, 3]);
}

#[test]
fn a_fiber_makes_fibers_and_they_make_more() {
    fn grow(
        scheduler: &'static Scheduler<Host>,
        cells: &'static FiberPool<65536, 8>,
        depth: u32,
    ) -> u32 {
        if depth == 0 {
            return 1;
        }
        let below = scheduler
            .spawn(cells, move || grow(scheduler, cells, depth - 1))
            .unwrap();
        1 + below.join().unwrap()
    }
    static CELLS: FiberPool<65536, 8> = FiberPool::new();
    let (scheduler, _) = fresh();
    let top = scheduler
        .spawn(&CELLS, move || grow(scheduler, &CELLS, 7))
        .unwrap();
    scheduler.run();
    assert_eq!(top.try_join().unwrap(), 8);
}

#[test]
fn results_and_closures_of_no_size_and_of_large_alignment_arrive() {
    #[repr(align(256))]
    #[derive(Debug, PartialEq, Clone, Copy)]
    struct Wide(u8);
    let (wide, at) = in_fiber(|scheduler, cells| {
        scheduler.spawn(cells, || ()).unwrap().join().unwrap();
        let wide = Wide(9);
        let fiber = scheduler.spawn(cells, move || (wide, (&raw const wide).addr()));
        fiber.unwrap().join().unwrap()
    });
    assert_eq!(wide, Wide(9));
    assert!(at.is_multiple_of(256));
}

#[test]
fn a_result_is_dropped_once_whether_joined_detached_or_dropped() {
    static DROPS: AtomicU32 = AtomicU32::new(0);
    struct Counted;
    impl Drop for Counted {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::Relaxed);
        }
    }
    in_fiber(|scheduler, cells: &'static Cells| {
        let made = || scheduler.spawn(cells, || Counted).unwrap();
        drop(made().join());
        assert_eq!(DROPS.load(Ordering::Relaxed), 1);
        made().detach();
        scheduler::yield_now();
        assert_eq!(DROPS.load(Ordering::Relaxed), 2);
        let late = made();
        scheduler::yield_now();
        assert_eq!(DROPS.load(Ordering::Relaxed), 2);
        drop(late);
        assert_eq!(DROPS.load(Ordering::Relaxed), 3);
    });
}
