//! Runs `cargo test` and counts what it reports.

pub(crate) mod explore;
pub(crate) mod loom;
pub(crate) mod miri;

use std::io::{BufRead as _, BufReader, IsTerminal as _};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::cli::Build;
use crate::console;
use crate::parallel;
use crate::seeds::Seeds;
use crate::steps::Counts;
use crate::workspace;

/// Runs `cargo test` with these words.
pub(crate) fn run(words: &[&str], build: &Build, seeds: Seeds) -> Result<Counts> {
    let mut command = Command::new("cargo");
    command
        .arg("test")
        .args(words)
        .current_dir(workspace::root());
    if let Some(core) = build.core {
        // Some of these tests build kernels, which must come from the same source.
        command.env("KFIBER_CORE", core.word());
    }
    seeds.tell(&mut command);
    count(&mut command)
}

/// The words that select the library's unit tests and test programs, but for these.
///
/// # Errors
///
/// It is an error if there is no program of one of these names.
pub(crate) fn programs_without(left_out: &[&str]) -> Result<Vec<String>> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir(workspace::root())
        .no_deps()
        .exec()?;
    let targets = metadata
        .packages
        .into_iter()
        .filter(|package| package.name == "kfiber")
        .flat_map(|package| package.targets);
    let mut names: Vec<_> = targets
        .filter(cargo_metadata::Target::is_test)
        .map(|target| target.name)
        .collect();
    for name in left_out {
        ensure!(
            names.iter().any(|it| it == name),
            "the library has no test program `{name}`, which was to be left out"
        );
    }
    names.retain(|name| !left_out.contains(&name.as_str()));
    let selected = names
        .into_iter()
        .flat_map(|name| ["--test".to_owned(), name]);
    Ok(["--lib".to_owned()].into_iter().chain(selected).collect())
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
    Ok(with_status(counts, command, status))
}

/// As [`count`] of several commands, as many at a time as there are processors. What each prints is shown when it has ended.
pub(crate) fn count_all(commands: Vec<Command>) -> Result<Counts> {
    let results = parallel::map(commands, |mut command| -> Result<Counts> {
        let output = command.arg("--no-fail-fast").stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("cannot start {}", console::line(&command)))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let results = text.lines().filter_map(result_line);
        let counts = results.fold(Counts::default(), Counts::plus);
        let counts = with_status(counts, &command, output.status);
        let mut shown: String = text
            .lines()
            .filter(|line| is_worth_showing(line))
            .flat_map(|line| [line, "\n"])
            .collect();
        if counts.failed > 0 {
            shown += &String::from_utf8_lossy(&output.stderr);
        }
        println!("{}\n{}", console::line(&command), shown.trim_end());
        Ok(counts)
    });
    results
        .into_iter()
        .try_fold(Counts::default(), |all, counts| Ok(all.plus(counts?)))
}

/// A test that does not compile, or dies of a signal, is in no list of results.
fn with_status(mut counts: Counts, command: &Command, status: ExitStatus) -> Counts {
    if !status.success() && counts.failed == 0 {
        console::loud(format!("{} ended with {status}", console::line(command)));
        counts.failed = 1;
    }
    counts
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
    fn test_programs_are_left_out_by_their_names() {
        let all = programs_without(&[]).expect("the workspace has a library");
        let most = programs_without(&["readme"]).expect("there is a program of this name");
        assert_eq!(all.len(), most.len() + 2);
        assert!(!most.iter().any(|word| word == "readme"), "{most:?}");
        assert_eq!(most[..2], ["--lib", "--test"]);
    }

    #[test]
    fn a_test_program_that_does_not_exist_cannot_be_left_out() {
        let error = programs_without(&["raedme"]).expect_err("there is no such program");
        assert!(error.to_string().contains("`raedme`"), "{error}");
    }

    #[test]
    fn the_results_of_commands_that_run_at_the_same_time_are_added() {
        let line = "test result: ok. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out";
        let says = |status: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("echo '{line}'; exit {status}"), "sh"]);
            command
        };
        let mut commands: Vec<_> = (0..5).map(|_| says("101")).collect();
        let mut dies = Command::new("sh");
        dies.args(["-c", "kill -9 $$", "sh"]);
        commands.push(dies);
        let counts = count_all(commands).expect("sh starts");
        let expected = Counts {
            passed: 15,
            failed: 6,
            skipped: 10,
        };
        assert_eq!(counts, expected);
    }

    #[test]
    fn a_command_that_fails_without_naming_a_test_is_a_failure() {
        let counts = count(Command::new("sh").args(["-c", "exit 101", "sh"])).expect("sh starts");
        assert_eq!(counts, Counts::FAILED);
    }
}
