//! Fibers that are pinned to a core run there, and only there.

use crate::cores::{Cells, here, run, scheduler};
use kfiber::platform::Core;
use kfiber::scheduler::{self, JoinHandle};

#[test]
fn a_pinned_fiber_runs_on_its_core_from_beginning_to_end() {
    static CELLS: Cells<32> = Cells::new();
    let scheduler = scheduler::<4>();
    let fibers: Vec<JoinHandle<()>> = (0..32)
        .map(|number| {
            let core = Core(number % 4);
            let check = move || {
                for _ in 0..100 {
                    assert_eq!(here(scheduler), core);
                    scheduler::yield_now();
                }
                scheduler::sleep(core::time::Duration::from_millis(number as u64)).unwrap();
                assert_eq!(here(scheduler), core);
            };
            scheduler.builder().on(core).spawn(&CELLS, check).unwrap()
        })
        .collect();
    run(scheduler);
    for fiber in fibers {
        fiber.try_join().unwrap();
    }
}

#[test]
#[should_panic(expected = "Core(2) is not one of the 2 cores of the scheduler")]
fn a_core_that_is_not_there_is_refused() {
    let _builder = scheduler::<2>().builder().on(Core(2));
}

#[test]
#[should_panic(expected = "a scheduler for 2 cores was run on core 2")]
fn a_core_too_many_is_told_what_to_do() {
    let scheduler = scheduler::<2>();
    scheduler.platform().as_core(Core(2), || scheduler.run());
}

#[test]
fn a_cell_is_used_on_one_core_after_another() {
    static CELLS: Cells<2> = Cells::new();
    let scheduler = scheduler::<3>();
    let main = scheduler
        .builder()
        .on(Core(0))
        .spawn(&CELLS, move || {
            for round in 0..300 {
                let core = Core(round % 3);
                let child = scheduler
                    .builder()
                    .on(core)
                    .spawn(&CELLS, move || here(scheduler))
                    .unwrap();
                assert_eq!(child.join().unwrap(), core);
            }
        })
        .unwrap();
    run(scheduler);
    main.try_join().unwrap();
}
