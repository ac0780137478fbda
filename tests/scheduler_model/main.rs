//! Random programs of fibers, each step of which is compared with a model: who runs, at what time, and what comes out.
//!
//! The seed is printed with any failure; `KFIBER_SEED=<seed>` runs that program alone. The seeds of a run are the same every
//! time, so that a failure is the same for everybody, unless `KFIBER_START` is another number to draw them from, or `random`.

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

fn hexadecimal(text: &str) -> u64 {
    let digits = text.trim_start_matches("0x");
    u64::from_str_radix(digits, 16).expect("a hexadecimal number")
}

/// What the seeds are drawn from.
fn start() -> u64 {
    match std::env::var("KFIBER_START").as_deref() {
        Ok("random") => {
            let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            u64::try_from(time.expect("after 1970").as_nanos()).unwrap_or(0)
        }
        Ok(text) => hexadecimal(text),
        Err(_) => 1,
    }
}

#[test]
fn a_scheduler_does_what_its_model_does() {
    let replayed = std::env::var("KFIBER_SEED").ok();
    let replayed = replayed.map(|text| hexadecimal(&text));
    let start = start();
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
