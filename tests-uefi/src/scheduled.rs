//! Fibers of a scheduler that take turns, while the firmware's timer interrupts them.

use core::sync::atomic::{AtomicU64, Ordering};

use kfiber::platform::{BareX86_64, Nanoseconds, Timer};
use kfiber::scheduler::{FiberCell, Scheduler, yield_now};

const FIBERS: usize = 4;
const TURNS: u64 = 10_000;

/// Nobody sleeps here, so it only has to be a clock.
struct Clock;

impl Timer for Clock {
    fn now(&self) -> Nanoseconds {
        // SAFETY: every x86_64 processor has the counter, and ring 0 may always read it.
        unsafe { core::arch::x86_64::_rdtsc() }
    }

    fn interrupt_at(&self, _: Nanoseconds) {}
}

static SCHEDULER: Scheduler<BareX86_64<Clock>> = Scheduler::new(platform());
static CELLS: [FiberCell<{ 16 * 1024 }>; FIBERS] = [const { FiberCell::new() }; FIBERS];
static TAKEN: AtomicU64 = AtomicU64::new(0);

const fn platform() -> BareX86_64<Clock> {
    // SAFETY: the firmware's handlers call nothing of this crate.
    unsafe { BareX86_64::new(Clock) }
}

/// Returns the number of turns that were taken, each by the fiber whose turn it was.
pub(crate) fn take_turns() -> u64 {
    for (own, cell) in (0..).zip(&CELLS) {
        let body = move || {
            for turn in 0..TURNS {
                let taken = TAKEN.fetch_add(1, Ordering::Relaxed);
                assert_eq!(taken, FIBERS as u64 * turn + own, "the order of spawning");
                yield_now();
            }
        };
        drop(SCHEDULER.spawn(cell, body).expect("a free cell"));
    }
    SCHEDULER.run_until_idle();
    let taken = TAKEN.load(Ordering::Relaxed);
    assert_eq!(taken, FIBERS as u64 * TURNS, "all fibers have ended");
    taken
}
