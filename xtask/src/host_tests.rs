//! Runs `cargo test` and counts what it reports.

pub(crate) mod explore;
pub(crate) mod loom;
pub(crate) mod miri;

use std::io::{BufRead as _, BufReader, IsTerminal as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::cli::Build;
use crate::console;
use crate::steps::Counts;
use crate::workspace;

/// Runs `cargo test` with these words.
pub(crate) fn run(words: &[&str], build: &Build) -> Result<Counts> {
    let mut command = Command::new("cargo");
    command
        .arg("test")
        .args(words)
        .current_dir(workspace::root());
    if let Some(core) = build.core {
        // Some of these tests build kernels, which must come from the same source.
        command.env("KFIBER_CORE", core.word());
    }
    count(&mut command)
}

/// Runs a command that prints what libtest prints. It is shown as it comes, one line per test only if it failed.
pub(crate) fn count(command: &mut Command) -> Result<Counts> {
    count_with(command, &[], |_| {})
}

/// As [`count`], with more words at the end of the command, and a look at each line.
pub(crate) fn count_with(
    command: &mut Command,
    more: &[&str],
    mut look: impl FnMut(&str),
) -> Result<Counts> {
    let mut child = command
        .args(["--no-fail-fast"])
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", console::line(command)))?;
    let output = child.stdout.take().expect("stdout is piped");
    let mut counts = Counts::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        counts = counts.plus(result_line(&line).unwrap_or_default());
        look(&line);
        if is_worth_showing(&line) {
            println!("{line}");
        }
    }
    let status = child.wait()?;
    // A test that does not compile, or dies of a signal, is in no list of results.
    if !status.success() && counts.failed == 0 {
        console::loud(format!("{} ended with {status}", console::line(command)));
        counts.failed = 1;
    }
    Ok(counts)
}

fn is_worth_showing(line: &str) -> bool {
    let passed = line.starts_with("test ") && line.ends_with("... ok");
    std::io::stdout().is_terminal() || (!passed && !line.trim().is_empty())
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`
fn result_line(line: &str) -> Option<Counts> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |word: &str| {
        let (number, _) = numbers
            .split("; ")
            .find_map(|part| part.split_once(' ').filter(|(_, rest)| *rest == word))?;
        number.parse().ok()
    };
    Some(Counts {
        passed: number("passed")?,
        failed: number("failed")?,
        skipped: number("ignored")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_from_libtests_line() {
        let line = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.00s";
        assert_eq!(
            result_line(line),
            Some(Counts {
                passed: 3,
                failed: 2,
                skipped: 1
            })
        );
        assert_eq!(result_line("test a ... ok"), None);
        assert_eq!(result_line("test result: nonsense"), None);
    }

    #[test]
    fn a_command_that_fails_without_naming_a_test_is_a_failure() {
        let counts = count(Command::new("sh").args(["-c", "exit 101", "sh"])).expect("sh starts");
        assert_eq!(counts, Counts::FAILED);
    }
}
