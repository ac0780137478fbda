//! The step `explore`: random schedules of the whole scheduler, and the check that there were as many as promised.

use std::process::Command;

use anyhow::Result;

use crate::host_tests;
use crate::seeds::Seeds;
use crate::steps::Counts;
use crate::{console, workspace};

/// How many there are without other threads; a tenth of that comes with them.
const SCHEDULES: u64 = 100_000;

/// Plays them.
pub(crate) fn schedules(seeds: Seeds) -> Result<Counts> {
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
