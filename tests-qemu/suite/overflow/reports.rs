//! What is reported: each overflow once, what the registers say however absurd, and a handler whose stores are lost.

use core::sync::atomic::{AtomicU64, Ordering};

use kfiber::exceptions::overflow_at;
use kfiber::scheduler::{Failure, JoinErrorKind, yield_now};
use tests_qemu::{
    exceptions::{self, TrapFrame},
    kernel_test,
};

use super::{count, guard, overflow, ways};
use crate::scheduler::{SCHEDULER, run_with_interrupts};

/// How often the handler below was called.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Asks for the recovery frame, and forgets to write it back the first three times, as
/// `extern "x86-interrupt"` handlers do that write to their copy of the frame.
fn forgets_the_frame(frame: &mut TrapFrame) {
    let written = *frame;
    super::on_exception(frame);
    if CALLS.fetch_add(1, Ordering::Relaxed) < 3 {
        *frame = written;
    }
}

/// The registers and addresses that are tried, each with each: near the stacks, between them, and nowhere.
fn absurd() -> [u64; 11] {
    let address = |at: usize| at as u64;
    let (lowest, own) = (guard::bounds_of(0), guard::bounds_of(3));
    [
        0,
        1,
        // In the guards of cells that the scheduler has never seen.
        address(lowest.guard().start) + 64,
        address(guard::bounds_of(1).bottom().addr()) - 8,
        address(guard::bounds_of(2).bottom().addr()) - 4096,
        address(own.guard().start) - 1,
        address(own.bottom().addr()) - 65_528,
        address(own.top().addr()) - 8,
        0x0000_7fff_ffff_fff8,
        0x8000_0000_0000_0000,
        u64::MAX,
    ]
}

kernel_test! {
    fn an_overflow_is_one_report_and_the_joiner_is_told_too() {
        guard::prepare();
        let fiber = SCHEDULER.spawn(&guard::POOL.stacks()[1], || { ways::recurse(0); });
        let fiber = fiber.expect("free");
        run_with_interrupts();
        let told = fiber.try_join().expect_err("it did not return").kind;
        assert!(matches!(told, JoinErrorKind::Failed(Failure::Overflowed(_))), "{told:?}");
        assert_eq!((count(), super::OTHERS.load(Ordering::Relaxed)), (1, 0));
    }

    fn a_handler_that_does_not_write_the_frame_back_is_told_so_by_the_second_report() {
        guard::prepare();
        exceptions::hook(super::PAGE_FAULT, forgets_the_frame);
        exceptions::hook(super::DOUBLE_FAULT, forgets_the_frame);
        let fiber = SCHEDULER.spawn(&guard::POOL.stacks()[1], || { ways::recurse(0); });
        let fiber = fiber.expect("free");
        run_with_interrupts();
        fiber.try_join().expect_err("the fourth time it wrote the recovery frame back");
        assert_eq!(CALLS.load(Ordering::Relaxed), 4);
        assert_eq!(count(), 2, "more would hide what the second says");
        assert_eq!([0, 1].map(|index| overflow(index).is_repeated), [false, true]);
        assert_eq!(overflow(0).registers, overflow(1).registers);
    }

    fn absurd_registers_are_reported_or_not_but_nothing_is_read_that_is_not_there() {
        guard::prepare();
        let fiber = SCHEDULER.spawn(&guard::POOL.stacks()[3], || {
            let mut known = 0;
            for vector in [1, 6, 8, 14, 255] {
                for rsp in absurd() {
                    for rbp in absurd() {
                        for address in absurd() {
                            let frame = TrapFrame { vector, rip: rbp, rsp, rbp, ..TrapFrame::default() };
                            let found = overflow_at(&frame, address);
                            known += u64::from(found.is_some());
                            let calls = found.as_ref().map_or(0, |found| found.backtrace().len());
                            assert!(calls <= 16);
                        }
                    }
                }
            }
            yield_now();
            known
        });
        run_with_interrupts();
        assert!(fiber.expect("free").try_join().expect("it goes on") > 0);
        assert_eq!(count(), 0, "who only asks reports nothing");
    }
}
