//! All steps, two at a time: while one waits for a debugger, or for the last crate of a build, the other has the processors.
//!
//! Each step is a process of its own, this program with the step's name. What it prints goes into a file, and is shown in one
//! piece when it has ended: it reads as if the steps had run one after the other.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anstream::println;
use anyhow::{Context as _, Result};

use crate::steps::{self, Counts};
use crate::{console, parallel};

/// How many steps run at a time. Each uses all processors when it can.
const AT_A_TIME: usize = 2;

/// Runs a process for each of the steps `beside`, and then one after the other for those of `alone`. The files lie in `folder`.
pub(super) fn run(
    beside: Vec<&str>,
    alone: Vec<&str>,
    folder: &Path,
    command: impl Fn(&str) -> Command + Sync,
) -> Result<Counts> {
    fs::create_dir_all(folder)?;
    let work = |name: &str| {
        let file = folder.join(name).with_extension("log");
        console::say(format!("{name} begins, and writes {}", file.display()));
        let start = Instant::now();
        let counts = play(&mut command(name), &file).unwrap_or_else(|error| {
            console::error(&error);
            Counts::FAILED
        });
        (counts, steps::line(name, counts, start.elapsed()))
    };
    let mut ended = parallel::map_few(AT_A_TIME, beside, work);
    ended.extend(alone.into_iter().map(work));
    let (counts, lines): (Vec<_>, Vec<_>) = ended.into_iter().unzip();
    println!("\n{}", lines.join("\n"));
    Ok(counts.into_iter().fold(Counts::default(), Counts::plus))
}

/// Runs one process, shows what it printed, and takes the counts from its last line.
fn play(command: &mut Command, file: &Path) -> Result<Counts> {
    let log = File::create(file).with_context(|| file.display().to_string())?;
    let status = command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()
        .with_context(|| format!("cannot start {}", console::line(command)))?;
    let text = fs::read(file)?;
    let text = String::from_utf8_lossy(&text);
    // One call, so that the pieces of two steps are not mixed.
    print!("{text}");
    let last = text.lines().last().unwrap_or_default();
    match Counts::from_line(last) {
        Some(counts) if status.success() == (counts.failed == 0) => Ok(counts),
        counts => {
            console::loud(format!("{} ended with {status}", console::line(command)));
            Ok(counts.unwrap_or_default().plus(Counts::FAILED))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of steps that are these scripts.
    fn counts(scripts: &[&str]) -> Counts {
        let folder = tempfile::tempdir().expect("a folder");
        let names = ["first", "second", "third"];
        let says = |name: &str| {
            let index = names.iter().position(|it| *it == name);
            let mut command = Command::new("sh");
            command.args(["-c", scripts[index.expect("one of these")]]);
            command
        };
        let mut names = names[..scripts.len()].to_vec();
        let alone = names.split_off(1);
        run(names, alone, folder.path(), says).expect("the folder is there")
    }

    #[test]
    fn what_the_steps_count_is_added() {
        let expected = Counts {
            passed: 7,
            failed: 2,
            skipped: 1,
        };
        let of_its_parts = "echo '7 passed, 0 failed'; echo '3 passed, 0 failed'";
        let fails = "echo '4 passed, 2 failed, 1 skipped'; exit 101";
        assert_eq!(counts(&[of_its_parts, fails]), expected);
    }

    #[test]
    fn a_step_that_ends_without_its_counts_is_a_failure() {
        let good = "echo '3 passed, 0 failed'";
        assert_eq!(counts(&[good, "kill -9 $$", "true"]).failed, 2);
        assert_eq!(
            counts(&[good, "echo '3 passed, 0 failed'; exit 1"]).failed,
            1
        );
    }
}
