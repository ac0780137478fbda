//! Many fibers, resumed one after the other, in the order in which they lie in memory or in a random one.

use std::time::{Duration, Instant};

use crate::bench::{Bench, Plan};
use crate::contender::{Body, Contender, STOP};
use crate::memory;
use crate::pair::Answering;
use crate::random::Random;

/// As many places in the code, on both sides.
const SITES: usize = 8;

/// Answers with the word plus one plus its own number, so that the compiler keeps eight loops.
struct At<const SITE: usize>;

impl<C: Contender, const SITE: usize> Body<C> for At<SITE> {
    #[inline(always)]
    unsafe fn run(way: C::Way, first: usize) -> usize {
        let (mut word, mut rounds) = (first, 0);
        while word != STOP {
            rounds += 1;
            // SAFETY: the caller's promise.
            word = unsafe { C::suspend(way, word + 1 + SITE) };
        }
        rounds
    }
}

/// The timed loop: everybody once. Returns the sum of the answers.
#[inline(never)]
fn lap<C: Contender>(fibers: &mut [C::Fiber], order: &[u32], word: usize) -> usize {
    let mut sum = 0_usize;
    for &index in order {
        sum = sum.wrapping_add(C::resume(&mut fibers[index as usize], word));
    }
    sum
}

/// As [`lap`], from eight places in the code.
#[inline(never)]
fn lap_at_sites<C: Contender>(fibers: &mut [C::Fiber], order: &[u32], word: usize) -> usize {
    let mut sum = 0_usize;
    for eight in order.chunks_exact(SITES) {
        macro_rules! resume_each {
            ($($place:literal)*) => {
                $(sum = sum.wrapping_add(C::resume(&mut fibers[eight[$place] as usize], word));)*
            };
        }
        resume_each!(0 1 2 3 4 5 6 7);
    }
    sum
}

/// The fibers, and how often each was resumed.
struct Ring<C: Contender> {
    fibers: Vec<C::Fiber>,
    order: Vec<u32>,
    lap: fn(&mut [C::Fiber], &[u32], usize) -> usize,
    /// What each adds to the words that it answers, all together.
    added: usize,
    rounds: usize,
    /// What a fiber knows after a number of rounds.
    last: fn(usize) -> usize,
}

impl<C: Contender> Bench for Ring<C> {
    fn run(&mut self, laps: usize) -> Duration {
        let count = self.fibers.len();
        let mut sum = 0_usize;
        let mut expected = 0_usize;
        let start = Instant::now();
        for _ in 0..laps {
            sum = sum.wrapping_add((self.lap)(&mut self.fibers, &self.order, self.rounds));
            expected = expected.wrapping_add(self.rounds * count + self.added);
            self.rounds += 1;
        }
        let time = start.elapsed();
        assert_eq!(sum, expected, "a word was lost: {}", C::NAME);
        time
    }

    fn finish(self: Box<Self>) {
        let expected = (self.last)(self.rounds);
        for fiber in self.fibers {
            assert_eq!(
                C::end(fiber, STOP),
                expected,
                "a fiber lost a value: {}",
                C::NAME
            );
        }
    }
}

fn fibers<C: Contender, const LIVE: usize>(count: usize) -> Vec<C::Fiber> {
    memory::stacks(count)
        // SAFETY: a new stack each.
        .map(|stack| unsafe { C::start::<Answering<0, LIVE>>(stack) })
        .collect()
}

fn in_order(count: usize) -> Vec<u32> {
    (0..u32::try_from(count).expect("a small number")).collect()
}

fn plain<C: Contender, const LIVE: usize>(shape: &'static str, order: Vec<u32>) -> Plan {
    let count = order.len();
    let ring = move || Ring::<C> {
        fibers: fibers::<C, LIVE>(count),
        order,
        lap: lap::<C>,
        added: count,
        rounds: 0,
        last: Answering::<0, LIVE>::last,
    };
    Plan::new(C::NAME, shape, ring).laps_of(count)
}

fn at_sites<C: Contender>(shape: &'static str, count: usize) -> Plan {
    let starts = [
        C::start::<At<0>>,
        C::start::<At<1>>,
        C::start::<At<2>>,
        C::start::<At<3>>,
        C::start::<At<4>>,
        C::start::<At<5>>,
        C::start::<At<6>>,
        C::start::<At<7>>,
    ];
    let ring = move || Ring::<C> {
        fibers: memory::stacks(count)
            .zip(starts.iter().cycle())
            // SAFETY: a new stack each.
            .map(|(stack, start)| unsafe { start(stack) })
            .collect(),
        order: in_order(count),
        lap: lap_at_sites::<C>,
        added: count + count / SITES * (0..SITES).sum::<usize>(),
        rounds: 0,
        last: |rounds| rounds,
    };
    Plan::new(C::NAME, shape, ring).laps_of(count)
}

/// All rings of a contender.
pub(crate) fn plans<C: Contender>(random: &mut Random) -> Vec<Plan> {
    let mut plans = vec![
        plain::<C, 4>("ring_64_live_4", in_order(64)),
        plain::<C, 12>("ring_64_live_12", in_order(64)),
        at_sites::<C>("ring_64_sites_8", 64),
    ];
    for (count, ordered, shuffled) in [
        (8, "ring_8", "ring_8_random"),
        (64, "ring_64", "ring_64_random"),
        (1000, "ring_1000", "ring_1000_random"),
        (100_000, "ring_100000", "ring_100000_random"),
    ] {
        if count <= C::MOST_FIBERS {
            plans.push(plain::<C, 0>(ordered, in_order(count)));
            let mut order = in_order(count);
            random.shuffle(&mut order);
            plans.push(plain::<C, 0>(shuffled, order));
        }
    }
    plans
}
