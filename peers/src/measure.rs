//! Measures: every repetition has one sample of everybody, in a new random order.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::bench::Entry;
use crate::random::Random;
use crate::sampling::Sampling;

/// How much is measured.
pub(crate) struct Effort {
    pub(crate) repetitions: u64,
    /// How long a sample is about to take.
    pub(crate) sample: Duration,
    /// Where the random orders begin.
    pub(crate) seed: u64,
}

/// Prints samples: `sample REPETITION CONTENDER SHAPE NANOSECONDS`, and `clock REPETITION GIGAHERTZ`; before a sample
/// `discarded REPETITION CONTENDER SHAPE RUNS` if so many runs were too short to be one.
pub(crate) fn measure(entries: Vec<Entry>, effort: &Effort) {
    let mut entries: Vec<_> = entries
        .into_iter()
        .map(|mut entry| {
            let operations = entry.operations;
            let sampling =
                Sampling::calibrate(effort.sample, operations, |laps| run(&mut entry, laps));
            (sampling, entry)
        })
        .collect();
    let mut random = Random::new(effort.seed);
    for repetition in 0..effort.repetitions {
        println!("clock {repetition} {:.4}", gigahertz());
        random.shuffle(&mut entries);
        for (sampling, entry) in &mut entries {
            let sample = sampling.sample(|laps| run(entry, laps));
            let (contender, shape) = (entry.contender, entry.shape);
            if sample.discarded > 0 {
                println!(
                    "discarded {repetition} {contender} {shape} {}",
                    sample.discarded
                );
            }
            #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
            let each = sample.nanoseconds / entry.operations as f64;
            println!("sample {repetition} {contender} {shape} {each:.4}");
        }
    }
    for (_, entry) in entries {
        entry.bench.finish();
    }
}

fn run(entry: &mut Entry, laps: usize) -> Duration {
    clear_exception_flags();
    entry.bench.run(laps)
}

/// Forgets that this program rounded a number. MXCSR remembers it, and loading another value than it holds takes fifty
/// times as long as loading the same: whoever switches it would be charged for the arithmetic of the harness.
fn clear_exception_flags() {
    let initial = 0x1f80_u32;
    // SAFETY: the value that a program begins with: all exceptions masked, none recorded.
    unsafe {
        core::arch::asm!("ldmxcsr [{}]", in(reg) &raw const initial, options(nostack, readonly));
    }
}

/// The core's clock, by a chain of multiplications of three cycles each.
fn gigahertz() -> f64 {
    const STEPS: u32 = 100_000;
    let once = || {
        let start = Instant::now();
        let mut product = black_box(3_u64);
        for _ in 0..STEPS {
            product = chain(product);
        }
        black_box(product);
        f64::from(STEPS) * 8.0 * 3.0 / (start.elapsed().as_secs_f64() * 1e9)
    };
    once().max(once())
}

/// Eight multiplications, each of which needs the one before.
#[inline(always)]
fn chain(mut product: u64) -> u64 {
    // SAFETY: arithmetic in one register.
    unsafe {
        core::arch::asm!(
            "imul {0}, {0}", "imul {0}, {0}", "imul {0}, {0}", "imul {0}, {0}",
            "imul {0}, {0}", "imul {0}, {0}", "imul {0}, {0}", "imul {0}, {0}",
            inout(reg) product, options(pure, nomem, nostack),
        );
    }
    product
}
