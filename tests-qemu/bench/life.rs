//! A fiber's whole life: made, run, ended, its result taken.

use kfiber::scheduler::FiberCell;

use crate::counter::measure_here;
use crate::scheduler::SCHEDULER;
use crate::yields::with_others;

static SHORT_LIVED: FiberCell<4096> = FiberCell::new();

pub(crate) fn measure() {
    with_others(0, || {
        measure_here("spawn_run_exit_join", 1, || {
            let fiber = SCHEDULER.spawn(&SHORT_LIVED, || 42_u64);
            let result = fiber.map(|handle| handle.join());
            assert!(matches!(result, Ok(Ok(42))), "it runs and returns");
        });
    });
}
