//! What the prefix `lock` costs on one core, on words that are in its cache: the same instruction with it and without.

use core::arch::asm;
use core::cell::UnsafeCell;
use std::time::{Duration, Instant};

use crate::bench::{Bench, Plan};

/// Words, each in a cache line of its own, that are changed in turn. A chain of changes of one word would be as slow
/// without the prefix, since each waits for the one before.
const WORDS: usize = 8;

#[repr(align(64))]
struct Word(UnsafeCell<u64>);

/// Changes words by one instruction, from the number of the lap to the next number, or sets a bit.
struct Instruction<F> {
    words: [Word; WORDS],
    change: F,
    /// What a word is in the end, if not the number of laps.
    last: Option<u64>,
}

impl<F: Fn(*mut u64, u64)> Bench for Instruction<F> {
    fn run(&mut self, laps: usize) -> Duration {
        for word in &mut self.words {
            *word.0.get_mut() = 0;
        }
        let start = Instant::now();
        for lap in 0..laps as u64 {
            for word in &self.words {
                (self.change)(word.0.get(), lap);
            }
        }
        let time = start.elapsed();
        let last = self.last.unwrap_or(laps as u64);
        for word in &mut self.words {
            assert_eq!(*word.0.get_mut(), last, "a change was lost");
        }
        time
    }

    fn finish(self: Box<Self>) {}
}

fn plan(
    is_locked: bool,
    shape: &'static str,
    last: Option<u64>,
    change: impl Fn(*mut u64, u64) + 'static,
) -> Plan {
    let contender = if is_locked { "locked" } else { "plain" };
    let words = [const { Word(UnsafeCell::new(0)) }; WORDS];
    let instruction = Instruction {
        words,
        change,
        last,
    };
    Plan::new(contender, shape, || instruction).laps_of(WORDS)
}

/// The same instruction, with the prefix or without. Operands are named `word`, `lap` and `next`.
macro_rules! pair {
    ($shape:literal, $last:expr, $instruction:literal) => {
        [
            plan(false, $shape, $last, |word, lap| {
                // SAFETY: a word of the bench's own.
                unsafe {
                    asm!($instruction, word = in(reg) word, next = inout(reg) lap + 1 => _, one = inout(reg) 1_u64 => _,
                        inout("rax") lap => _, options(nostack));
                }
            }),
            plan(true, $shape, $last, |word, lap| {
                // SAFETY: as above.
                unsafe {
                    asm!(concat!("lock ", $instruction), word = in(reg) word, next = inout(reg) lap + 1 => _,
                        one = inout(reg) 1_u64 => _, inout("rax") lap => _, options(nostack));
                }
            }),
        ]
    };
}

/// Each instruction with the prefix and without.
pub(crate) fn plans() -> Vec<Plan> {
    let mut plans = Vec::new();
    plans.extend(pair!("lock_add", None, "add [{word}], {one} /* {next} */"));
    plans.extend(pair!(
        "lock_xadd",
        None,
        "xadd [{word}], {one} /* {next} */"
    ));
    plans.extend(pair!(
        "lock_bts",
        Some(1),
        "bts qword ptr [{word}], 0 /* {one} {next} */"
    ));
    plans.extend(pair!(
        "lock_cmpxchg",
        None,
        "cmpxchg [{word}], {next} /* {one} */"
    ));
    // An exchange with memory is always locked. Without that it takes a load and a store.
    plans.push(plan(false, "lock_xchg", None, |word, lap| {
        // SAFETY: as above.
        unsafe {
            asm!("mov {old}, [{word}]", "mov [{word}], {next}", word = in(reg) word, next = in(reg) lap + 1,
                old = out(reg) _, options(nostack));
        }
    }));
    plans.push(plan(true, "lock_xchg", None, |word, lap| {
        // SAFETY: as above.
        unsafe {
            asm!("xchg [{word}], {next}", word = in(reg) word, next = inout(reg) lap + 1 => _, options(nostack));
        }
    }));
    plans
}
