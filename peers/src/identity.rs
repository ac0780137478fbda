//! The shape of corosensei's own benchmark: a fiber that gives each word back, resumed with one that the compiler must not
//! know.

use core::hint::black_box;
use std::time::{Duration, Instant};

use crate::bench::{Bench, Plan};
use crate::contender::{Body, Contender, STOP};
use crate::memory;

/// Gives back what it gets.
struct Identical;

impl<C: Contender> Body<C> for Identical {
    #[inline(always)]
    unsafe fn run(way: C::Way, first: usize) -> usize {
        let mut word = first;
        while word != STOP {
            // SAFETY: the caller's promise.
            word = unsafe { C::suspend(way, word) };
        }
        0
    }
}

struct Identity<C: Contender>(C::Fiber);

#[inline(never)]
fn drive<C: Contender>(fiber: &mut C::Fiber, laps: usize) {
    for lap in 0..laps {
        let word = lap & 0xff;
        assert_eq!(
            black_box(C::resume(fiber, black_box(word))),
            word,
            "a word was lost"
        );
    }
}

impl<C: Contender> Bench for Identity<C> {
    fn run(&mut self, laps: usize) -> Duration {
        let start = Instant::now();
        drive::<C>(&mut self.0, laps);
        start.elapsed()
    }

    fn finish(self: Box<Self>) {
        assert_eq!(C::end(self.0, STOP), 0, "it was asked to end");
    }
}

/// The one shape of a contender.
pub(crate) fn plan<C: Contender>() -> Plan {
    // SAFETY: a new stack.
    let set_up = || Identity::<C>(unsafe { C::start::<Identical>(memory::stack()) });
    Plan::new(C::NAME, "identity", set_up)
}
