//! A hundred thousand fibers at once: all are ready, all run, all end.

use core::sync::atomic::{AtomicUsize, Ordering};

use kfiber::scheduler::{FiberPool, Scheduler, yield_now};
use tests_qemu::platform::{self, Bare};
use tests_qemu::println;

const FIBERS: usize = 100_000;
const ROUNDS: usize = 3;

static SCHEDULER: Scheduler<Bare> = Scheduler::new(platform::bare());
static CROWD: FiberPool<1024, FIBERS> = FiberPool::new();
static ARRIVED: AtomicUsize = AtomicUsize::new(0);
static SUM: AtomicUsize = AtomicUsize::new(0);

tests_qemu::kernel_test! {
    /// Each adds its number in each round, and must see that all others were there in every round before.
    fn a_hundred_thousand_fibers_at_once() timeout(120) {
        if cfg!(debug_assertions) {
            panic!("their stacks are too small for a debug build: --release");
        }
        x86_64::instructions::interrupts::enable();
        for number in 0..FIBERS {
            let fiber = SCHEDULER.spawn(&CROWD, move || {
                for round in 0..ROUNDS {
                    assert_eq!(ARRIVED.load(Ordering::Relaxed), round * FIBERS + number);
                    ARRIVED.fetch_add(1, Ordering::Relaxed);
                    SUM.fetch_add(number, Ordering::Relaxed);
                    yield_now();
                }
            });
            fiber.expect("a cell for each").detach();
        }
        assert!(SCHEDULER.spawn(&CROWD, || ()).is_err(), "all cells are in use");
        assert_eq!(SCHEDULER.fibers().count(), FIBERS, "all at once");
        SCHEDULER.run();
        assert_eq!(ARRIVED.load(Ordering::Relaxed), ROUNDS * FIBERS);
        assert_eq!(SUM.load(Ordering::Relaxed), ROUNDS * (FIBERS * (FIBERS - 1) / 2));
        println!("bytes crowd {}", size_of_val(&CROWD));
    }
}
