//! A plain `Fiber` that overflows its stack is noticed when it comes back to its resumer.
#![cfg(all(feature = "stack-check", not(kfiber_threads)))]

use crate::{Pause, child};
use core::hint::black_box;
use core::panic::AssertUnwindSafe;
use kfiber::fiber::{Fiber, Resumed};
use kfiber::stack::{Stack, Storage};
use std::panic::catch_unwind;

const SIZE: usize = 65536;

/// One above the other: what overflows the upper one is the lower one's.
#[repr(C)]
struct Two {
    below: Stack<SIZE>,
    above: Stack<SIZE>,
}

static TWO: Two = Two {
    below: Stack::new(),
    above: Stack::new(),
};

/// Calls itself until the stack pointer is this low, and writes into all of the stack.
#[inline(never)]
fn deep(until: usize) -> usize {
    let mine = black_box([until; 32]);
    match (&raw const mine).addr() < until {
        true => mine[5],
        false => deep(until) + black_box(&mine)[7],
    }
}

/// Whether a fiber that went this far below the bottom of its stack, or stayed this far above it, comes back to its resumer as if
/// nothing had happened.
#[expect(
    clippy::incompatible_msrv,
    reason = "only the library is built by the oldest compiler"
)]
fn comes_back_after(below_bottom: isize) -> bool {
    let victim = TWO.below.take().unwrap();
    let bottom = (&raw const TWO.above).addr();
    let body = move |yielder: &Pause, ()| {
        black_box(deep(bottom.strict_add_signed(-below_bottom)));
        yielder.suspend(());
    };
    let mut fiber = Fiber::new(TWO.above.take().unwrap(), body).unwrap();
    let resumed = catch_unwind(AssertUnwindSafe(|| fiber.resume(())));
    drop(victim);
    assert_eq!(resumed.is_ok(), fiber.is_canary_intact());
    match resumed {
        Ok(resumed) => assert_eq!(resumed, Resumed::Yielded(())),
        Err(panic) => {
            let message = *panic.downcast::<String>().unwrap();
            assert!(message.contains("overflowed its stack at 0x"), "{message}");
            assert!(
                message.contains(&format!("{} bytes", size_of::<Stack<SIZE>>())),
                "{message}"
            );
        }
    }
    fiber.is_canary_intact()
}

#[test]
fn a_fiber_that_stays_in_its_stack_comes_back() {
    child::passes(|| assert!(comes_back_after(-16384)));
}

#[test]
fn a_fiber_that_used_its_stack_up_and_a_little_more_is_told_of_when_it_comes_back() {
    child::passes(|| assert!(!comes_back_after(256)));
}

#[test]
fn a_fiber_that_wrote_over_half_of_its_neighbour_is_told_of_when_it_comes_back() {
    child::passes(|| assert!(!comes_back_after(32768)));
}

#[test]
fn a_fiber_that_overflows_later_is_told_of_at_each_resume_from_then_on() {
    child::passes(|| {
        let _neighbour = TWO.below.take().unwrap();
        let bottom = (&raw const TWO.above).addr();
        let body = move |yielder: &Pause, ()| {
            for _ in 0..3 {
                yielder.suspend(());
                black_box(deep(bottom - 1024));
            }
        };
        let mut fiber = Fiber::new(TWO.above.take().unwrap(), body).unwrap();
        let came_back = [(); 3].map(|()| {
            let resume = || {
                let _yielded = fiber.resume(());
            };
            catch_unwind(AssertUnwindSafe(resume)).is_ok()
        });
        assert_eq!(came_back, [true, false, false]);
    });
}
