//! Overflows at the worst moments: at every depth of a yield and of a wait, with the scheduler's state half-changed.

use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use kfiber::{
    scheduler::{GuardedFiberPool, overflow::Detector, sleep, yield_now},
    stack::{PAGE_SIZE, Storage as _},
    sync::Semaphore,
};
use tests_qemu::kernel_test;

use super::{count, guard, overflow, ways};
use crate::scheduler::{SCHEDULER, run_with_interrupts};

static LEFT: AtomicU64 = AtomicU64::new(0);
static DEEP: GuardedFiberPool<{ 4 * PAGE_SIZE }, 64> = GuardedFiberPool::new();
static NEVER_RELEASED: Semaphore = Semaphore::new(0);

fn wait_in_every_way() {
    yield_now();
    let _is_over = sleep(Duration::from_nanos(1));
    let _is_late = NEVER_RELEASED.acquire_timeout(Duration::from_nanos(1));
}

kernel_test! {
    /// From 1,500 bytes left down to none, in steps of eight: somewhere in between the calls that wait find the end, first with
    /// the innermost, at last with the outermost of their frames.
    fn a_yield_or_wait_that_overflows_at_any_depth_is_named_and_the_rest_goes_on() timeout(120) {
        guard::prepare();
        kfiber_ticks();
        let mut overflows = 0;
        for left in (0..1500_u64).rev().step_by(96) {
            LEFT.store(left, Ordering::Relaxed);
            let slot = usize::try_from(overflows).expect("few");
            if slot == guard::POOL.stacks().len() {
                break;
            }
            let other = SCHEDULER.spawn(&super::canary::POOL, || (0..10).for_each(|_| yield_now())).expect("free");
            let fiber = SCHEDULER.builder().name("deep").spawn(&guard::POOL.stacks()[slot], move || {
                let bottom = guard::bounds_of(slot).bottom().addr();
                let left = usize::try_from(LEFT.load(Ordering::Relaxed)).expect("64 bits");
                ways::recurse_to(bottom, left, &wait_in_every_way);
            });
            fiber.expect("free").detach();
            run_with_interrupts();
            other.try_join().expect("the others went on");
            if count() > overflows {
                overflows = count();
                let report = overflow(slot);
                assert_eq!(report.name, "deep");
                assert!(matches!(report.detector, Detector::Guard | Detector::Canary));
            }
        }
        assert!(overflows > 0, "none was deep enough");
    }

    /// Every frame of a yield ends on the guard once, also those that are called when the queue is half-changed.
    fn a_yield_that_overflows_in_any_frame_loses_no_other_fiber() timeout(120) {
        guard::prepare_all(DEEP.stacks());
        for (round, cells) in DEEP.stacks().as_chunks::<2>().0.iter().enumerate() {
            let left = 1040 - 16 * round;
            for cell in cells {
                // The end of the first makes the next yield of the second a slow one, which calls more.
                let fiber = SCHEDULER.builder().name("deep").spawn(cell, move || {
                    let bottom = cell.storage_bounds().bottom().addr();
                    ways::recurse_to(bottom, left, &yield_now);
                    ways::recurse_to(bottom, left, &|| {
                        yield_now();
                        ways::recurse(0);
                    });
                });
                fiber.expect("free").detach();
            }
            let other = SCHEDULER.spawn(&super::canary::POOL, || (0..10).for_each(|_| yield_now()));
            run_with_interrupts();
            other.expect("free").try_join().expect("the others went on");
        }
        assert!(count() > 16, "most were not deep enough");
    }
}

fn kfiber_ticks() {
    tests_qemu::interrupts::on_tick(|_| SCHEDULER.timer_interrupt());
}
