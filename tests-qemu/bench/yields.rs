//! Yielding: alone, and once round a ring of fibers of the same priority.

use core::cell::Cell;

use kfiber::platform::{Nanoseconds, Platform, SwitchHook};
use kfiber::scheduler::overflow::watch;
use kfiber::scheduler::{FiberCell, FiberPool, Scheduler, yield_now};
use tests_qemu::platform::{self, Bare};

use crate::counter::measure_here;
use crate::scheduler::SCHEDULER;

/// The most that are ready at a time, but for the one that measures.
pub(crate) const MOST_OTHERS: usize = 99;

pub(crate) static MEASURING: FiberCell<16384> = FiberCell::new();
static OTHERS: FiberPool<4096, MOST_OTHERS> = FiberPool::new();

/// Whether the others are to end. Not atomic, so that asking takes two instructions instead of three.
struct IsOver(Cell<bool>);

// SAFETY: there is one core, and no interrupt handler knows of it.
unsafe impl Sync for IsOver {}

static IS_OVER: IsOver = IsOver(Cell::new(false));

pub(crate) fn measure() {
    among(1, "yield_alone");
    among(2, "yield_2");
    among(5, "yield_5");
    among(100, "yield_100");
    watched();
}

/// Two fibers of a scheduler whose switches move a watchpoint.
fn watched() {
    static WATCHED: Scheduler<Hooked> =
        Scheduler::new(Hooked(platform::bare(), watch::on_switch::<0>));
    static CELLS: FiberPool<16384, 2> = FiberPool::new();
    with_hook(&WATCHED, &CELLS, "yield_2_watched", |f| f());
}

/// Two fibers of a scheduler with a hook, each of which is run by `around`.
pub(crate) fn with_hook(
    scheduler: &'static Scheduler<Hooked>,
    cells: &'static FiberPool<16384, 2>,
    name: &'static str,
    around: fn(&mut dyn FnMut()),
) {
    IS_OVER.0.set(false);
    let measuring = scheduler.spawn(cells, move || {
        around(&mut || {
            measure_here(name, 2, yield_now);
            IS_OVER.0.set(true);
        });
    });
    measuring.expect("nobody else uses the cells").detach();
    let other = scheduler.spawn(cells, move || {
        around(&mut || {
            while !IS_OVER.0.get() {
                yield_now();
            }
        });
    });
    other.expect("nobody else uses the cells").detach();
    scheduler.run();
}

/// The bare machine, with a hook.
pub(crate) struct Hooked(pub(crate) Bare, pub(crate) SwitchHook);

// SAFETY: as that of `Bare`, which does the work.
unsafe impl Platform for Hooked {
    fn now(&self) -> Nanoseconds {
        self.0.now()
    }

    fn set_timer(&self, deadline: Nanoseconds) {
        self.0.set_timer(deadline);
    }

    fn idle(&self) {
        self.0.idle();
    }

    fn switch_hook(&self) -> Option<SwitchHook> {
        Some(self.1)
    }
}

/// One yield of each fiber, from the first until it runs again.
fn among(fibers: usize, name: &'static str) {
    with_others(fibers - 1, move || {
        measure_here(name, fibers as u64, yield_now);
    });
}

/// Runs `f` in a fiber, while this many others of the same priority do nothing but yield.
pub(crate) fn with_others(others: usize, f: impl FnOnce() + Send + 'static) {
    IS_OVER.0.set(false);
    let measuring = SCHEDULER.spawn(&MEASURING, move || {
        f();
        IS_OVER.0.set(true);
    });
    measuring.expect("nobody else uses the cell").detach();
    for _ in 0..others {
        let other = SCHEDULER.spawn(&OTHERS, || {
            while !IS_OVER.0.get() {
                yield_now();
            }
        });
        other
            .expect("there are as many cells as asked for")
            .detach();
    }
    SCHEDULER.run();
}
