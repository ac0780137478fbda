//! One resumer and one fiber: in every shape of calls, and with values that are live across each switch on both sides.

use std::time::{Duration, Instant};

use crate::bench::{Bench, Plan, sum_from};
use crate::contender::{Body, Contender, STOP};
use crate::live::{Live, opaque};
use crate::memory;

/// What the fiber does: it answers each word with that word plus one. `DEPTH` calls lie between its loop and the
/// suspension; each takes one from the word that comes in and adds one to the word that goes out, so that none can become
/// a jump.
pub(crate) struct Answering<const DEPTH: usize, const LIVE: usize>;

impl<const DEPTH: usize, const LIVE: usize> Answering<DEPTH, LIVE> {
    /// What it returns after it was resumed with 0, 1 and so on.
    pub(crate) fn last(rounds: usize) -> usize {
        let mut live = Live::<LIVE>::new();
        (0..rounds).for_each(|word| live.step(word));
        live.digest().wrapping_add(rounds)
    }
}

impl<C: Contender, const DEPTH: usize, const LIVE: usize> Body<C> for Answering<DEPTH, LIVE> {
    #[inline(always)]
    unsafe fn run(way: C::Way, first: usize) -> usize {
        let (mut word, mut rounds) = (first, 0);
        let mut live = Live::<LIVE>::new();
        while word != STOP {
            rounds += 1;
            live.step(word);
            // SAFETY: the caller's promise.
            word = unsafe { suspend_deep::<C, DEPTH>(way, word + 1) };
        }
        live.digest().wrapping_add(rounds)
    }
}

#[inline(always)]
unsafe fn suspend_deep<C: Contender, const DEPTH: usize>(way: C::Way, word: usize) -> usize {
    match DEPTH {
        // SAFETY: the caller's promise.
        0 => unsafe { C::suspend(way, word) },
        // SAFETY: as above.
        1 => unsafe { one_deep::<C>(way, word) },
        // SAFETY: as above.
        _ => unsafe { three_deep::<C>(way, word) },
    }
}

#[inline(never)]
unsafe fn one_deep<C: Contender>(way: C::Way, word: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { C::suspend(way, word + 1) }.wrapping_sub(1)
}

#[inline(never)]
unsafe fn two_deep<C: Contender>(way: C::Way, word: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { one_deep::<C>(way, word + 1) }.wrapping_sub(1)
}

#[inline(never)]
unsafe fn three_deep<C: Contender>(way: C::Way, word: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { two_deep::<C>(way, word + 1) }.wrapping_sub(1)
}

#[inline(never)]
fn resume_one_deep<C: Contender>(fiber: &mut C::Fiber, word: usize) -> usize {
    C::resume(fiber, word + 1) - 1
}

/// The timed loop; `first`, `first + 1` and so on reach the fiber's loop. Returns the sum of the answers.
#[inline(never)]
fn drive<C: Contender, const LIVE: usize, const IS_DEEP: bool>(
    fiber: &mut C::Fiber,
    first: usize,
    laps: usize,
    kept: &mut Live<LIVE>,
) -> usize {
    let mut live = *kept;
    let (mut word, mut sum) = (first, 0_usize);
    let end = first + laps;
    while word != end {
        live.step(word);
        let answer = if IS_DEEP {
            resume_one_deep::<C>(fiber, word)
        } else {
            C::resume(fiber, word)
        };
        sum = sum.wrapping_add(answer);
        word = opaque(word + 1);
    }
    *kept = live;
    sum
}

/// A fiber, and what both sides should know by now.
struct Pair<C: Contender, const DEPTH: usize, const LIVE: usize, const IS_DEEP: bool> {
    fiber: C::Fiber,
    live: Live<LIVE>,
    rounds: usize,
}

impl<C: Contender, const DEPTH: usize, const LIVE: usize, const IS_DEEP: bool>
    Pair<C, DEPTH, LIVE, IS_DEEP>
{
    fn new() -> Self {
        // SAFETY: a new stack.
        let mut fiber = unsafe { C::start::<Answering<DEPTH, LIVE>>(memory::stack()) };
        // The first word comes to the body directly, not through the calls.
        assert_eq!(C::resume(&mut fiber, 0), 1 + DEPTH);
        Self {
            fiber,
            live: Live::new(),
            rounds: 0,
        }
    }

    fn plan(shape: &'static str) -> Plan {
        Plan::new(C::NAME, shape, Self::new)
    }
}

impl<C: Contender, const DEPTH: usize, const LIVE: usize, const IS_DEEP: bool> Bench
    for Pair<C, DEPTH, LIVE, IS_DEEP>
{
    fn run(&mut self, laps: usize) -> Duration {
        let first = self.rounds + DEPTH;
        let start = Instant::now();
        let sum = drive::<C, LIVE, IS_DEEP>(&mut self.fiber, first, laps, &mut self.live);
        let time = start.elapsed();
        assert_eq!(
            sum,
            sum_from(first + 1, laps),
            "a word was lost: {}",
            C::NAME
        );
        self.rounds += laps;
        time
    }

    fn finish(self: Box<Self>) {
        let offset = usize::from(IS_DEEP);
        let (mut own, mut fibers) = (Live::<LIVE>::new(), Live::<LIVE>::new());
        fibers.step(0);
        for word in 0..self.rounds {
            own.step(word + DEPTH);
            fibers.step(word + offset);
        }
        assert_eq!(self.live, own, "the resumer lost a value: {}", C::NAME);
        let expected = fibers.digest().wrapping_add(self.rounds + 1);
        let last = C::end(self.fiber, STOP.wrapping_add(DEPTH));
        assert_eq!(last, expected, "the fiber lost a value: {}", C::NAME);
    }
}

/// As the bench within, but the resumer has rounded a number before, as most programs that compute with them have. MXCSR
/// remembers it, and a fiber that never rounded any has another value there.
struct AfterRounding<B>(B);

impl<B: Bench> Bench for AfterRounding<B> {
    fn run(&mut self, laps: usize) -> Duration {
        assert!(core::hint::black_box(1.0_f64) / core::hint::black_box(3.0) < 1.0);
        self.0.run(laps)
    }

    fn finish(self: Box<Self>) {
        Box::new(self.0).finish();
    }
}

/// All shapes of a contender.
pub(crate) fn plans<C: Contender>() -> Vec<Plan> {
    vec![
        Pair::<C, 0, 0, false>::plan("inlined"),
        Pair::<C, 1, 0, false>::plan("yield_1_deep"),
        Pair::<C, 3, 0, false>::plan("yield_3_deep"),
        Pair::<C, 0, 0, true>::plan("resume_1_deep"),
        Pair::<C, 1, 0, true>::plan("both_1_deep"),
        Plan::new(C::NAME, "inlined_after_rounding", || {
            AfterRounding(Pair::<C, 0, 0, false>::new())
        }),
        Pair::<C, 0, 4, false>::plan("live_4"),
        Pair::<C, 0, 12, false>::plan("live_12"),
    ]
}
