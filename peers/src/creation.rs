//! Making a fiber on a stack that is there already, running it to its end, and dropping it.

use std::time::{Duration, Instant};

use crate::bench::{Bench, Plan, sum_from};
use crate::contender::Contender;
use crate::live::opaque;
use crate::memory;

struct Creation<C: Contender>(C::Kept);

#[inline(never)]
fn create<C: Contender>(kept: &mut C::Kept, laps: usize) -> usize {
    let (mut word, mut sum) = (0, 0_usize);
    while word != laps {
        sum = sum.wrapping_add(C::create(kept, word));
        word = opaque(word + 1);
    }
    sum
}

impl<C: Contender> Bench for Creation<C> {
    fn run(&mut self, laps: usize) -> Duration {
        let start = Instant::now();
        let sum = create::<C>(&mut self.0, laps);
        let time = start.elapsed();
        assert_eq!(sum, sum_from(1, laps), "a word was lost: {}", C::NAME);
        time
    }

    fn finish(self: Box<Self>) {}
}

/// The one shape of a contender.
pub(crate) fn plan<C: Contender>() -> Plan {
    Plan::new(C::NAME, "create", || {
        // SAFETY: a new stack.
        Creation::<C>(unsafe { C::keep(memory::stack()) })
    })
}
