//! Makes a failing schedule small: as many of its choices as possible are calm, and it still fails.

use crate::child::{self, Failure, Task};
use core::fmt::Write as _;
use core::ops::Range;
use core::time::Duration;
use std::path::Path;
use std::time::Instant;

/// What this program was built with, in front of a command.
const BUILD: &str = match (cfg!(kfiber_steps), cfg!(kfiber_threads)) {
    (true, true) => "RUSTFLAGS='--cfg kfiber_steps --cfg kfiber_threads' ",
    (true, false) => "RUSTFLAGS='--cfg kfiber_steps' ",
    (false, true) => "RUSTFLAGS='--cfg kfiber_threads' ",
    (false, false) => "",
};
const FEATURES: &str = if cfg!(feature = "smp") {
    "--features smp "
} else {
    ""
};

/// How often a schedule is tried, and how long: one that hangs takes its time.
const MOST_TRIES: usize = 500;
const LONGEST: Duration = Duration::from_secs(20);

struct Search<'a> {
    test: &'a str,
    seed: u64,
    start: Instant,
    tries: usize,
    /// The smallest that failed so far.
    calm: Vec<Range<usize>>,
    failure: Failure,
}

impl Search<'_> {
    /// Tries with these calm. Returns whether it still fails.
    fn fails_with(&mut self, calm: Vec<Range<usize>>) -> bool {
        if self.tries == MOST_TRIES || self.start.elapsed() > LONGEST {
            return false;
        }
        self.tries += 1;
        let task = Task::One {
            seed: self.seed,
            calm: calm.clone(),
        };
        let Err(failure) = child::run(self.test, &task) else {
            return false;
        };
        self.calm = calm;
        self.failure = failure;
        true
    }

    fn is_calm(&self, index: usize) -> bool {
        self.calm.iter().any(|range| range.contains(&index))
    }

    /// How many choices that are not calm the smallest has.
    fn needed(&self) -> usize {
        let choices = 0..self.failure.choices;
        choices.filter(|index| !self.is_calm(*index)).count()
    }
}

/// The ranges and another, those that touch joined.
fn with(ranges: &[Range<usize>], another: Range<usize>) -> Vec<Range<usize>> {
    let mut all = ranges.to_vec();
    all.push(another);
    all.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in all {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// Makes it small, keeps it in a file, and says all about it.
pub(crate) fn report(test: &str, failure: Failure) -> String {
    let (seed, choices) = (failure.seed, failure.choices);
    let mut search = Search {
        test,
        seed,
        start: Instant::now(),
        tries: 0,
        calm: Vec::new(),
        failure,
    };
    let mut text = String::new();
    if search.fails_with(Vec::new()) {
        let mut size = choices.next_power_of_two() / 2;
        while size > 0 {
            for start in (0..choices).step_by(size).rev() {
                let block = start..choices.min(start + size);
                if !block.clone().all(|index| search.is_calm(index)) {
                    let calm = with(&search.calm, block);
                    search.fails_with(calm);
                }
            }
            size /= 2;
        }
    } else {
        writeln!(
            text,
            "It does not fail again: other threads have a part in it."
        )
        .expect("a string grows");
    }
    writeln!(
        text,
        "Of its {choices} choices {} are needed. To play it again:\n  \
         {BUILD}{}={seed:#x} {}={} cargo test {FEATURES}--test explore {test}\n{}",
        search.needed(),
        child::SEED,
        child::CALM,
        child::written(&search.calm),
        search.failure.output
    )
    .expect("a string grows");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("explore-{seed:x}.txt"));
    match std::fs::write(&file, &text) {
        Ok(()) => writeln!(text, "This is kept in {}.", file.display()).expect("a string grows"),
        Err(error) => writeln!(text, "This could not be kept: {error}").expect("a string grows"),
    }
    text
}
