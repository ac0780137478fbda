//! Random programs of fibers, each step of which is compared with a model: who runs, at what time, and what comes out.
//!
//! The seed is printed with any failure; `KFIBER_SEED=<seed>` runs that program alone.

mod model;
mod program;
mod world;

use world::{Random, begin, end};

/// How many operations all programs have together.
const OPERATIONS: u64 = if cfg!(miri) {
    600
} else if cfg!(kfiber_threads) {
    20_000
} else {
    1_000_000
};

#[test]
fn a_scheduler_does_what_its_model_does() {
    let replayed = std::env::var("KFIBER_SEED").ok().map(|text| {
        let digits = text.trim_start_matches("0x");
        u64::from_str_radix(digits, 16).expect("KFIBER_SEED is a hexadecimal number")
    });
    // Random from run to run, except where there is no clock.
    let start = if cfg!(miri) {
        1
    } else {
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        u64::try_from(time.expect("after 1970").as_nanos()).unwrap_or(0)
    };
    let mut seeds = Random(start);
    let mut operations = 0;
    let mut programs = 0;
    while operations < OPERATIONS {
        let seed = replayed.unwrap_or_else(|| seeds.next());
        begin(seed);
        program::SCHEDULER.run();
        operations += end();
        programs += 1;
        if replayed.is_some() {
            break;
        }
    }
    println!("{operations} operations in {programs} programs, from seed {start:#x}");
}
