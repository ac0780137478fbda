//! Overflows at the worst moments: at every depth of a yield and of a wait, with the scheduler's state half-changed.

use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use kfiber::{
    scheduler::{overflow::Detector, sleep, yield_now},
    sync::Semaphore,
};
use tests_qemu::kernel_test;

use super::{count, guard, overflow, ways};
use crate::scheduler::{SCHEDULER, run_with_interrupts};

static LEFT: AtomicU64 = AtomicU64::new(0);
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
}

fn kfiber_ticks() {
    tests_qemu::interrupts::on_tick(|_| SCHEDULER.timer_interrupt());
}
