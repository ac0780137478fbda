//! The step `explore`: random schedules of the whole scheduler, of one core and of several, and the check that there were as many as promised.

use std::process::Command;

use anyhow::Result;

use crate::host_tests;
use crate::seeds::Seeds;
use crate::steps::Counts;
use crate::{console, workspace};

/// How many there are without other threads; a tenth of that comes with them.
const SCHEDULES: u64 = 100_000;

/// A build in which several cores are explored: each access to a word that they share is a step.
struct Build {
    /// Also the name of its folder.
    name: &'static str,
    flags: &'static str,
    /// How many schedules are played, with seeds that are committed, and with random ones.
    schedules: [u64; 2],
}

const WITH_CORES: [Build; 2] = [
    Build {
        name: "steps",
        flags: "--cfg kfiber_steps",
        // Nine times as many as it takes to find the mistake that is the hardest to find.
        schedules: [2000, 100_000],
    },
    // Fibers that have begun move to another core only where each has a thread.
    Build {
        name: "steps-threads",
        flags: "--cfg kfiber_steps --cfg kfiber_threads",
        schedules: [1000, 30_000],
    },
];

/// Plays them: those of one core, and those of several.
pub(crate) fn schedules(seeds: Seeds) -> Result<Counts> {
    let mut counts = of_one_core(seeds)?;
    for build in &WITH_CORES {
        counts = counts.plus(of_several_cores(build, seeds)?);
    }
    Ok(counts)
}

fn of_several_cores(build: &Build, seeds: Seeds) -> Result<Counts> {
    let [committed, random] = build.schedules;
    let schedules = match seeds {
        Seeds::Committed => committed,
        Seeds::Random => random,
    };
    let mut command = Command::new("cargo");
    command
        .env("KFIBER_SCHEDULES", schedules.to_string())
        .env("RUSTFLAGS", build.flags)
        // Enough for a backtrace. Everything is built for this step alone.
        .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
        .env(
            "CARGO_TARGET_DIR",
            workspace::target_directory()?.join(build.name),
        )
        .args(["test", "--package", "kfiber", "--features", "smp"])
        .args(["--test", "explore"])
        .current_dir(workspace::root());
    seeds.tell(&mut command);
    let mut played = 0;
    let filters = ["--", "--nocapture", "several_cores", "mistakes"];
    let counts = host_tests::count_with(&mut command, &filters, |line| {
        played += number_in(line).unwrap_or(0);
    })?;
    if counts.failed == 0 && played < schedules {
        console::loud(format!(
            "{played} schedules of several cores were played, and not all that were to be"
        ));
        return Ok(Counts::FAILED);
    }
    Ok(counts)
}

fn of_one_core(seeds: Seeds) -> Result<Counts> {
    let mut command = Command::new("cargo");
    command
        .env("KFIBER_SCHEDULES", SCHEDULES.to_string())
        .args(["test", "--package", "kfiber", "--test", "explore"])
        .current_dir(workspace::root());
    seeds.tell(&mut command);
    let mut played = Vec::new();
    let counts = host_tests::count_with(&mut command, &["--", "--nocapture"], |line| {
        played.extend(number_in(line));
    })?;
    let all: u64 = played.iter().sum();
    let is_enough = played.len() == 2 && all >= SCHEDULES + SCHEDULES / 10;
    if counts.failed == 0 && !is_enough {
        console::loud(format!(
            "{all} schedules were played, and not all that were to be"
        ));
        return Ok(Counts::FAILED);
    }
    Ok(counts)
}

/// `100000 schedules, from seed 0x5`
fn number_in(line: &str) -> Option<u64> {
    let (number, _) = line.split_once(" schedules, from seed ")?;
    number.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_schedules_is_read_from_its_line() {
        assert_eq!(number_in("100000 schedules, from seed 0x5"), Some(100_000));
        let same_line = "test a_test ... 10000 schedules, from seed 0x5";
        assert_eq!(number_in(same_line), Some(10_000));
        assert_eq!(number_in("test a_test ... ok"), None);
    }
}
