//! Judges a run: a pure function of what the guest said and of how QEMU ended. Neither alone is ever a pass.

#[cfg(test)]
mod tests;

use std::fmt;

use crate::machine::qemu::End;
use kfiber_test::protocol::{EXIT_FAIL, EXIT_PASS, FAIL, FAULT, PANIC, PASS, PREFIX, RUN};

/// What a test came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The guest said so in its last line, and the exit device too.
    Pass,
    /// The test ended, but not as it promised, or its report cannot be trusted.
    Fail,
    /// An unexpected panic.
    Panic,
    /// An unexpected CPU exception that the guest could still report.
    Fault,
    /// The deadline came first.
    Timeout,
    /// The machine ended without the guest's doing: a triple fault, or QEMU's own failure.
    Crash,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Panic => "panic",
            Self::Fault => "fault",
            Self::Timeout => "timeout",
            Self::Crash => "crash",
        })
    }
}

/// An outcome and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What the test came to.
    pub outcome: Outcome,
    /// One sentence for a person; empty for a pass.
    pub reason: String,
}

impl Verdict {
    fn new(outcome: Outcome, reason: impl Into<String>) -> Self {
        Self {
            outcome,
            reason: reason.into(),
        }
    }
}

/// Status of QEMU after the guest wrote `value` to the exit device.
const fn status(value: u8) -> i32 {
    ((value as i32) << 1) | 1
}

/// A line of the guest that is meant for the runner.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Message {
    word: String,
    rest: String,
    /// Number of complete lines before it.
    lines_before: usize,
}

impl Message {
    /// Whether the line ends a run.
    fn is_final(&self) -> bool {
        [PASS, FAIL, PANIC, FAULT].contains(&&*self.word)
    }
}

/// Whether a kernel counts the lines that it sends, so that a lost one is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineCount {
    /// A pass without a count is none.
    Required,
    /// A count must be right if there is one.
    Optional,
}

/// Judges the run of the test `name` in a kernel that counts its lines.
#[must_use]
pub fn judge(name: &str, serial: &[u8], end: End) -> Verdict {
    judge_by(LineCount::Required, name, serial, end)
}

/// Judges the run of the test `name`.
#[must_use]
pub fn judge_by(count: LineCount, name: &str, serial: &[u8], end: End) -> Verdict {
    let messages = messages(serial);
    let first_final = messages.iter().find(|message| message.is_final());
    let said = first_final.map_or_else(
        || "without a final line of the guest".to_owned(),
        |message| {
            format!(
                "after the guest had said `{} {}`",
                message.word, message.rest
            )
        },
    );
    match end {
        End::Deadline(deadline) => Verdict::new(
            Outcome::Timeout,
            format!(
                "not ended after {} s, {said}; {}",
                deadline.as_secs_f32(),
                last_words(serial)
            ),
        ),
        End::Signal(signal) => Verdict::new(
            Outcome::Crash,
            format!("signal {signal} ended QEMU, {said}"),
        ),
        End::Status(0) => Verdict::new(
            Outcome::Crash,
            format!(
                "QEMU ended with status 0, which is a triple fault or a stop from outside, {said}"
            ),
        ),
        End::Status(1) => Verdict::new(
            Outcome::Crash,
            format!("QEMU itself failed with status 1, {said}"),
        ),
        End::Status(code) if code == status(EXIT_PASS) => {
            match doubt(count, name, serial, &messages) {
                None => Verdict::new(Outcome::Pass, ""),
                Some(doubt) => Verdict::new(
                    Outcome::Fail,
                    format!("QEMU ended with the status of success, but {doubt}"),
                ),
            }
        }
        End::Status(code) if code == status(EXIT_FAIL) => reported(first_final),
        End::Status(code) => Verdict::new(
            Outcome::Crash,
            format!("QEMU ended with status {code}, which nothing here asks for, {said}"),
        ),
    }
}

/// Why a run that ended with the status of success is none.
fn doubt(count: LineCount, name: &str, serial: &[u8], messages: &[Message]) -> Option<String> {
    let [first, .., last] = messages else {
        return Some(match messages {
            [] => "the guest said nothing at all about a test".to_owned(),
            only => format!(
                "the guest's only line about a test is `{} {}`",
                only[0].word, only[0].rest
            ),
        });
    };
    if first.word != RUN || first.rest != name {
        return Some(format!(
            "its first line is `{} {}`, not `{RUN} {name}`",
            first.word, first.rest
        ));
    }
    if last.word != PASS {
        return Some(format!(
            "the guest's last line is `{} {}`, not `{PASS}`",
            last.word, last.rest
        ));
    }
    let odd = messages[1..messages.len() - 1].first();
    if let Some(odd) = odd {
        return Some(format!(
            "between its first and its last line the guest also said `{} {}`",
            odd.word, odd.rest
        ));
    }
    let (passed, lines) = match (last.rest.rsplit_once(" lines="), count) {
        (Some((passed, lines)), _) => (passed, Some(lines)),
        (None, LineCount::Optional) => (&*last.rest, None),
        (None, LineCount::Required) => {
            return Some(format!(
                "its last line `{PASS} {}` has no count of lines",
                last.rest
            ));
        }
    };
    if passed != name {
        return Some(format!("it is `{passed}` that passed, not `{name}`"));
    }
    if let Some(lines) = lines
        && lines.parse() != Ok(last.lines_before)
    {
        return Some(format!(
            "the guest sent {lines} lines before the last one and {} arrived",
            last.lines_before
        ));
    }
    let after = serial
        .split(|byte| *byte == b'\n')
        .skip(last.lines_before + 1)
        .flatten()
        .filter(|byte| **byte != b'\r')
        .count();
    (after > 0).then(|| format!("{after} bytes came after its last line"))
}

/// Judges a run that passed by kfiber's report of a fiber that failed, if there is one. A failure ends such a fiber alone, so the
/// test itself may not know of it.
#[must_use]
pub fn failed_fiber(serial: &[u8]) -> Option<Verdict> {
    let serial = String::from_utf8_lossy(serial);
    let report = serial.lines().find_map(report_of_failure)?;
    Some(Verdict::new(
        Outcome::Fail,
        format!(
            "the test passed, but a fiber failed: {report}\n    \
             if that is meant, declare the test with `fibers_may_fail`"
        ),
    ))
}

/// The first line of a report, which names a fiber and says how it failed: `fiber "NAME" (ADDRESS.GENERATION) panicked at …`.
fn report_of_failure(line: &str) -> Option<&str> {
    const FAILURES: [&str; 6] = [
        " panicked",
        " faulted",
        " overflowed its stack",
        ": stack overflowed",
        ": hit the guard page of another stack",
        ": control block was overwritten",
    ];
    let report = &line[line.find("fiber \"")?..];
    let (_name, rest) = report.split_once("\" (")?;
    let (id, failure) = rest.split_once(')')?;
    let (address, generation) = id.split_once('.')?;
    let is_fiber = u64::from_str_radix(address, 16).is_ok() && generation.parse::<u64>().is_ok();
    let is_failure = FAILURES.iter().any(|start| failure.starts_with(start));
    (is_fiber && is_failure).then_some(report)
}

/// The failure that the guest itself reported.
fn reported(first_final: Option<&Message>) -> Verdict {
    let Some(message) = first_final else {
        return Verdict::new(
            Outcome::Fail,
            "the guest ended with the status of failure without saying why",
        );
    };
    match &*message.word {
        PANIC => {
            let text = unescape(&message.rest);
            Verdict::new(Outcome::Panic, format!("panicked at {text}"))
        }
        FAULT => Verdict::new(Outcome::Fault, format!("CPU exception {}", message.rest)),
        FAIL => Verdict::new(Outcome::Fail, unescape(&message.rest)),
        word => Verdict::new(
            Outcome::Fail,
            format!("the guest said `{word}`, but ended with the status of failure"),
        ),
    }
}

/// The text that the guest made one line of. Its further lines are indented, so that they belong to the first.
fn unescape(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (letter, letters.as_str().chars().next()) {
            ('\\', Some('n')) => text.push_str("\n    "),
            ('\\', Some('\\')) => text.push('\\'),
            _ => {
                text.push(letter);
                continue;
            }
        }
        letters.next();
    }
    text
}

/// The lines for the runner. One that begins in the middle of a line, or is not ended, is none.
fn messages(serial: &[u8]) -> Vec<Message> {
    let mut lines: Vec<_> = serial.split(|byte| *byte == b'\n').collect();
    // What follows the last line break is not a line.
    lines.pop();
    let message = |(lines_before, line): (usize, &&[u8])| {
        let line = String::from_utf8_lossy(line);
        let text = line.trim_end_matches('\r').strip_prefix(PREFIX)?;
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        Some(Message {
            word: word.to_owned(),
            rest: rest.to_owned(),
            lines_before,
        })
    };
    lines.iter().enumerate().filter_map(message).collect()
}

/// What a machine that hangs said last.
fn last_words(serial: &[u8]) -> String {
    let text = String::from_utf8_lossy(serial);
    match text.lines().rfind(|line| !line.trim().is_empty()) {
        Some(line) => format!("its last line is `{line}`"),
        None => "it wrote nothing at all".to_owned(),
    }
}
