//! Measures: every repetition has one sample of everybody, in a new random order.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::bench::Entry;
use crate::random::Random;
use crate::sampling::Sampling;

/// Prints samples: `sample REPETITION CONTENDER SHAPE NANOSECONDS`, and `clock REPETITION GIGAHERTZ`; before a sample
/// `discarded REPETITION CONTENDER SHAPE RUNS` if so many runs were too short to be one.
pub(crate) fn measure(repetitions: u64, microseconds: u64, seed: u64, shapes: &[&str]) {
    stay_on_one_core();
    let wanted = Duration::from_micros(microseconds);
    let mut entries: Vec<_> = crate::entries(seed, shapes)
        .into_iter()
        .map(|mut entry| {
            let operations = entry.operations;
            let sampling = Sampling::calibrate(wanted, operations, |laps| run(&mut entry, laps));
            (sampling, entry)
        })
        .collect();
    let mut random = Random::new(seed);
    for repetition in 0..repetitions {
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
    println!("verified");
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

/// Threads that are started later stay there too.
fn stay_on_one_core() {
    // SAFETY: a set of bits, all of them zero.
    let mut allowed = unsafe { std::mem::zeroed::<libc::cpu_set_t>() };
    // SAFETY: it fills what it is given.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&allowed), &raw mut allowed) };
    assert_eq!(result, 0, "the system does not say which cores there are");
    let most = usize::try_from(libc::CPU_SETSIZE).expect("a positive number");
    // SAFETY: below the size of the set.
    let is_allowed = |core: &usize| unsafe { libc::CPU_ISSET(*core, &allowed) };
    let last = (0..most).rev().find(is_allowed).expect("we run on one");
    // SAFETY: as above.
    let mut one = unsafe { std::mem::zeroed::<libc::cpu_set_t>() };
    // SAFETY: below the size of the set.
    unsafe { libc::CPU_SET(last, &mut one) };
    // SAFETY: it reads what it is given.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&one), &raw const one) };
    assert_eq!(result, 0, "the system does not keep us on core {last}");
}
