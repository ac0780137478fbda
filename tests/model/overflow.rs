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

/// Uses about a kilobyte of stack for each call, and writes into all of it.
#[inline(never)]
fn deep(calls: usize) -> usize {
    let mine = black_box([calls; 128]);
    match calls {
        0 => mine[5],
        _ => deep(calls - 1) + black_box(&mine)[7],
    }
}

/// Whether the canary is there after a fiber used this many kilobytes, and how many bytes a fiber below lost to it.
fn after(calls: usize) -> (bool, usize) {
    let below = |suspend: &Pause, ()| {
        let mine = black_box([0x11_u8; 4096]);
        suspend.suspend(());
        black_box(&mine)
            .iter()
            .filter(|&&byte| byte != 0x11)
            .count()
    };
    let above = move |suspend: &Pause, ()| {
        black_box(deep(calls));
        suspend.suspend(());
    };
    let mut below = Fiber::new(TWO.below.take().unwrap(), below).unwrap();
    assert!(matches!(below.resume(()), Resumed::Yielded(())));
    let mut above = Fiber::new(TWO.above.take().unwrap(), above).unwrap();
    assert!(matches!(above.resume(()), Resumed::Yielded(())));
    let is_intact = above.is_canary_intact();
    assert_eq!(
        is_intact,
        calls < SIZE / 1024,
        "usage {:?}",
        above.stack_usage()
    );
    let Resumed::Returned(lost) = below.resume(()) else {
        panic!("it suspends once");
    };
    (is_intact, lost)
}

#[test]
fn a_fiber_that_stays_in_its_stack_has_its_canary() {
    child::passes(|| assert_eq!(after(20), (true, 0)));
}

#[test]
fn a_fiber_that_overflowed_by_little_has_no_canary() {
    child::passes(|| {
        let (is_intact, _lost) = after(70);
        assert!(!is_intact);
    });
}

#[test]
fn a_fiber_that_did_damage_has_no_canary() {
    child::passes(|| {
        let (is_intact, lost) = after(100);
        assert!(
            !is_intact || lost == 0,
            "{lost} bytes were lost, and nobody says so"
        );
    });
}
