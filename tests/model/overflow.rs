//! A plain `Fiber` that overflows its stack says so afterwards, when it is asked.

use crate::{Pause, child};
use core::hint::black_box;
use kfiber::fiber::{Fiber, Resumed};
use kfiber::stack::{Stack, Storage};

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

/// Whether the canary is there after a fiber went this far below the bottom of its stack, or stayed this far above it.
fn has_canary_after(below_bottom: isize) -> bool {
    let victim = TWO.below.take().unwrap();
    let bottom = (&raw const TWO.above).addr();
    let body = move |suspend: &Pause, ()| {
        black_box(deep(bottom.strict_add_signed(-below_bottom)));
        suspend.suspend(());
    };
    let mut fiber = Fiber::new(TWO.above.take().unwrap(), body).unwrap();
    assert!(matches!(fiber.resume(()), Resumed::Yielded(())));
    drop(victim);
    fiber.is_canary_intact()
}

#[test]
fn a_fiber_that_stays_in_its_stack_has_its_canary() {
    child::passes(|| assert!(has_canary_after(-16384)));
}

#[test]
fn a_fiber_that_used_its_stack_up_and_a_little_more_has_no_canary() {
    child::passes(|| assert!(!has_canary_after(256)));
}

#[test]
fn a_fiber_that_wrote_over_half_of_its_neighbour_has_no_canary() {
    child::passes(|| assert!(!has_canary_after(32768)));
}

#[test]
fn a_fiber_that_came_back_from_an_overflow_and_goes_on_has_no_canary_either() {
    child::passes(|| {
        let _neighbour = TWO.below.take().unwrap();
        let bottom = (&raw const TWO.above).addr();
        let body = move |suspend: &Pause, ()| {
            for _ in 0..3 {
                suspend.suspend(());
                black_box(deep(bottom - 1024));
            }
        };
        let mut fiber = Fiber::new(TWO.above.take().unwrap(), body).unwrap();
        let canaries = [(); 3].map(|()| {
            let _yielded = fiber.resume(());
            fiber.is_canary_intact()
        });
        assert_eq!(canaries, [true, false, false]);
    });
}
