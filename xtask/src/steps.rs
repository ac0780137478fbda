//! A table of named steps, run one after the other; one that fails does not hide the others.

use std::fmt::Write as _;
use std::time::Instant;

use anstream::println;
use anyhow::{Result, bail};

use crate::console::{self, BAD, GOOD, LOUD};

/// How many tests, or other things that can be right or wrong, came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Counts {
    /// One thing that was right.
    pub(crate) const PASSED: Self = Self {
        passed: 1,
        failed: 0,
        skipped: 0,
    };
    /// One thing that was wrong.
    pub(crate) const FAILED: Self = Self {
        passed: 0,
        failed: 1,
        skipped: 0,
    };
    /// One thing that could not be looked at.
    pub(crate) const SKIPPED: Self = Self {
        passed: 0,
        failed: 0,
        skipped: 1,
    };

    /// One thing that was right or wrong.
    pub(crate) const fn from_success(success: bool) -> Self {
        if success { Self::PASSED } else { Self::FAILED }
    }

    /// Both together.
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }

    /// `N passed, N failed`, and `, N skipped` if any.
    pub(crate) fn line(self) -> String {
        let mut line = format!("{} passed, {} failed", self.passed, self.failed);
        if self.skipped > 0 {
            let _ = write!(line, ", {} skipped", self.skipped);
        }
        line
    }
}

/// One step. `O` are the options of the verb.
pub(crate) struct Step<O> {
    /// What a person types to run it alone.
    pub(crate) name: &'static str,
    /// What it does, for `--help`.
    pub(crate) help: &'static str,
    /// Does it. An error counts as one failure.
    pub(crate) run: fn(&O) -> Result<Counts>,
}

/// The text about the steps at the end of `--help`.
pub(crate) fn help<O>(steps: &[Step<O>]) -> String {
    let width = steps.iter().map(|step| step.name.len()).max().unwrap_or(0);
    let mut text = "Steps:\n".to_owned();
    for step in steps {
        let _ = writeln!(text, "  {:width$}  {}", step.name, step.help);
    }
    text
}

/// Runs the steps of these names, or all if there are none. Each prints one line when it is done.
pub(crate) fn run<O>(steps: &[Step<O>], names: &[String], options: &O) -> Result<Counts> {
    for name in names {
        if !steps.iter().any(|step| step.name == name) {
            bail!("no step is named `{name}`\n\n{}", help(steps).trim_end());
        }
    }
    let mut lines = Vec::new();
    let mut all = Counts::default();
    for step in steps
        .iter()
        .filter(|step| names.is_empty() || names.iter().any(|name| name == step.name))
    {
        console::say(format!("{}: {}", step.name, step.help));
        let start = Instant::now();
        let counts = (step.run)(options).unwrap_or_else(|error| {
            console::error(&error);
            Counts::FAILED
        });
        let style = match counts {
            Counts { failed: 1.., .. } => BAD,
            Counts { skipped: 1.., .. } => LOUD,
            _ => GOOD,
        };
        let line = format!(
            "{style}{:12}{style:#} {} in {:.1} s",
            step.name,
            counts.line(),
            start.elapsed().as_secs_f32()
        );
        println!("{line}");
        lines.push(line);
        all = all.plus(counts);
    }
    if lines.len() > 1 {
        println!("\n{}", lines.join("\n"));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[Step<()>] = &[
        Step {
            name: "good",
            help: "passes",
            run: |()| {
                Ok(Counts {
                    passed: 3,
                    ..Counts::default()
                })
            },
        },
        Step {
            name: "broken",
            help: "has no answer",
            run: |()| bail!("the disk is on fire"),
        },
        Step {
            name: "absent",
            help: "cannot run here",
            run: |()| Ok(Counts::SKIPPED),
        },
    ];

    #[test]
    fn a_step_that_fails_does_not_hide_the_others() {
        let counts = run(STEPS, &[], &()).expect("the steps exist");
        assert_eq!(
            counts,
            Counts {
                passed: 3,
                failed: 1,
                skipped: 1
            }
        );
        assert_eq!(counts.line(), "3 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn one_step_runs_by_its_name() {
        let counts = run(STEPS, &["good".to_owned()], &()).expect("the step exists");
        assert_eq!(counts.line(), "3 passed, 0 failed");
    }

    #[test]
    fn an_unknown_step_is_an_error_that_names_the_others() {
        let error = run(STEPS, &["godo".to_owned()], &()).expect_err("there is no such step");
        assert!(
            error.to_string().contains("no step is named `godo`"),
            "{error}"
        );
        assert!(error.to_string().contains("broken"), "{error}");
    }
}
