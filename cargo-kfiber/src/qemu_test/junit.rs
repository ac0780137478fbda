//! Writes results as `JUnit` XML, which continuous integration systems show as a table.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::qemu_test::verdict::{Outcome, Verdict};

/// One line of the table.
#[derive(Debug)]
pub struct Entry {
    /// The test's name.
    pub name: String,
    /// `None`: the test was ignored.
    pub result: Option<Ran>,
}

/// A test that was run.
#[derive(Debug)]
pub struct Ran {
    /// What it came to.
    pub verdict: Verdict,
    /// How long its machine ran.
    pub duration: Duration,
    /// What the guest said.
    pub serial: Vec<u8>,
    /// What QEMU said.
    pub stderr: String,
}

/// Writes the table.
///
/// # Errors
///
/// Fails if the file cannot be written.
pub fn write(file: &Path, suite: &str, entries: Vec<Entry>) -> Result<()> {
    let mut report = Report::new("kfiber");
    let mut table = TestSuite::new(suite);
    for entry in entries {
        table.add_test_case(case(entry));
    }
    report.add_test_suite(table);
    let writer = File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    report
        .serialize(BufWriter::new(writer))
        .context("writing JUnit XML")
}

fn case(entry: Entry) -> TestCase {
    let Some(ran) = entry.result else {
        return TestCase::new(entry.name, TestCaseStatus::skipped());
    };
    let mut case = TestCase::new(entry.name, status(&ran.verdict));
    case.set_time(ran.duration);
    case.set_system_out_lossy(&ran.serial);
    case.set_system_err(ran.stderr);
    case
}

fn status(verdict: &Verdict) -> TestCaseStatus {
    let kind = match verdict.outcome {
        Outcome::Pass => return TestCaseStatus::success(),
        Outcome::Fail | Outcome::Panic => NonSuccessKind::Failure,
        Outcome::Fault | Outcome::Timeout | Outcome::Crash => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status
        .set_type(verdict.outcome.to_string())
        .set_message(&*verdict.reason);
    status
}
