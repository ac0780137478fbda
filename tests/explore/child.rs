//! Schedules in a process of their own, which dies of the first that fails: a fiber that panics cannot be gone on with.

use crate::dice::{self, seed_at};
use crate::schedule::{self, Way};
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use core::time::Duration;
use std::env;
use std::process::{Command, Stdio, exit};
use std::thread;

/// Set in a child: how many schedules it is to play, and the seed of their seeds; or the only seed, and what is calm.
const COUNT: &str = "KFIBER_EXPLORE_COUNT";
const START: &str = "KFIBER_EXPLORE_START";
pub(crate) const SEED: &str = "KFIBER_SEED";
pub(crate) const CALM: &str = "KFIBER_CALM";

/// What a child that failed writes before its seed and the number of its choices.
const FAILED: &str = "failed: seed ";

/// What a child is to do.
#[derive(Clone)]
pub(crate) enum Task {
    Many { start: u64, count: u64 },
    One { seed: u64, calm: Vec<Range<usize>> },
}

/// A schedule that failed.
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) choices: usize,
    /// All that the child wrote.
    pub(crate) output: String,
}

/// As `0x1f`.
pub(crate) fn hexadecimal(text: &str) -> u64 {
    let digits = text.trim_start_matches("0x");
    u64::from_str_radix(digits, 16).expect("a hexadecimal number")
}

/// As `3-7,9-10`, ends not included.
pub(crate) fn ranges(text: &str) -> Vec<Range<usize>> {
    let number = |text: &str| text.parse().expect("a number");
    text.split(',')
        .filter_map(|range| range.split_once('-'))
        .map(|(start, end)| number(start)..number(end))
        .collect()
}

/// The inverse of [`ranges`].
pub(crate) fn written(ranges: &[Range<usize>]) -> String {
    let texts = ranges
        .iter()
        .map(|range| format!("{}-{}", range.start, range.end));
    texts.collect::<Vec<_>>().join(",")
}

/// Runs the test of this name in a child.
pub(crate) fn run(test: &str, task: &Task) -> Result<(), Failure> {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .stdin(Stdio::null());
    match task {
        Task::Many { start, count } => command
            .env(COUNT, count.to_string())
            .env(START, format!("{start:#x}")),
        Task::One { seed, calm } => command
            .env(COUNT, "1")
            .env(SEED, format!("{seed:#x}"))
            .env(CALM, written(calm)),
    };
    let output = command.output().expect("this program starts");
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, numbers) = text.split_once(FAILED).unwrap_or_else(|| {
        panic!("a child ended with {}, and said:\n{text}", output.status);
    });
    let mut words = numbers.split_whitespace();
    Err(Failure {
        seed: hexadecimal(words.next().expect("the seed")),
        choices: words
            .next()
            .and_then(|word| word.parse().ok())
            .expect("choices"),
        output: text,
    })
}

/// Whether this is a child.
#[cfg(kfiber_steps)]
pub(crate) fn is_child() -> bool {
    env::var_os(COUNT).is_some()
}

/// What a child does: plays, and returns true. Elsewhere it returns false.
pub(crate) fn played(way: &Way) -> bool {
    let Ok(count) = env::var(COUNT) else {
        return false;
    };
    let count: u64 = count.parse().expect("a number");
    std::panic::set_hook(Box::new(|info| die(&info.to_string())));
    thread::spawn(watch);
    if let Ok(seed) = env::var(SEED) {
        let way = Way {
            calm: ranges(&env::var(CALM).unwrap_or_default()),
            is_traced: true,
            ..way.clone()
        };
        schedule::play(hexadecimal(&seed), &way);
    } else {
        let start = hexadecimal(&env::var(START).expect("a parent sets both"));
        for index in 0..count {
            schedule::play(seed_at(start, index), way);
            PLAYED.fetch_add(1, SeqCst);
        }
    }
    true
}

static PLAYED: AtomicU64 = AtomicU64::new(0);

/// Says which schedule it was, and ends the process.
fn die(why: &str) -> ! {
    let (seed, choices) = (dice::seed(), dice::drawn());
    eprintln!(
        "{FAILED}{seed:#x} {choices} choices\n{why}\n{}",
        dice::trace()
    );
    exit(1);
}

/// Ends the process when it hangs.
fn watch() {
    let patience = if env::var_os(SEED).is_some() { 2 } else { 20 };
    loop {
        let before = PLAYED.load(SeqCst);
        thread::sleep(Duration::from_secs(patience));
        if PLAYED.load(SeqCst) == before {
            die("the schedule hangs");
        }
    }
}
