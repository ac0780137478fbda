//! What a person reads about a test that did not pass: the verdict, what the guest said, and what to type next.

use std::fmt::Write as _;
use std::fs;

use clap::ValueEnum as _;

use crate::console::quote;
use crate::kernel::elf::TestCase;
use crate::qemu_test::runner::{Finished, Runner};

/// Of a long output its beginning is shown,
const FIRST_LINES: usize = 50;
/// and its end, where the trouble usually is.
const LAST_LINES: usize = 200;

/// Everything about a failure.
pub fn failure(runner: &Runner, test: &TestCase, seed: u32, finished: &Finished) -> String {
    let mut text = format!(
        "{}: {}\n",
        finished.verdict.outcome, finished.verdict.reason
    );
    let serial = String::from_utf8_lossy(&finished.run.serial);
    for (address, description) in addresses(&serial)
        .into_iter()
        .map(|address| (address, runner.describe(address, &serial)))
    {
        let _ = writeln!(text, "  rip={address:#x} is {description}");
    }
    for processor in &finished.processors {
        let does = if processor.is_halted {
            "sleeps"
        } else {
            "runs"
        };
        let place = runner.describe(processor.rip, &serial);
        let _ = writeln!(text, "  core {} {does} at {place}", processor.number);
    }
    for caller in runner.callers(&serial) {
        let _ = writeln!(text, "  called by {caller}");
    }
    let source = fs::read_to_string(runner.origin.root.join(&test.file)).unwrap_or_default();
    let line = line_of(test, &source);
    let _ = writeln!(text, "  the test is at {}:{line}", test.file);
    section(&mut text, "serial port", &serial);
    section(&mut text, "QEMU's standard error", &finished.run.stderr);
    if let Some(log) = &finished.interrupt_log {
        let _ = writeln!(text, "interrupt log: {}", log.display());
    }
    let rerun = rerun(runner, test, seed);
    let _ = writeln!(text, "run it again:  {rerun}\nin gdb:        {rerun} --gdb");
    text
}

/// The command that runs one test again, with everything that makes a difference to it.
#[must_use]
pub fn rerun(runner: &Runner, test: &TestCase, seed: u32) -> String {
    let options = &runner.options;
    let mut words = vec![
        format!("{} --exact", runner.origin.command),
        quote(&test.name),
        format!("--seed {seed}"),
    ];
    words.extend(runner.origin.words.iter().map(|word| quote(word)));
    let mut add = |condition: bool, word: String| {
        if condition {
            words.push(word);
        }
    };
    add(
        options.machine.smp != 1,
        format!("--smp {}", options.machine.smp),
    );
    for (option, value, default) in [
        (
            "--machine",
            options.machine.machine.to_possible_value(),
            "q35",
        ),
        ("--accel", options.machine.accel.to_possible_value(), "tcg"),
    ] {
        if let Some(value) = value {
            add(
                value.get_name() != default,
                format!("{option} {}", value.get_name()),
            );
        }
    }
    add(test.is_ignored(), "--include-ignored".to_owned());
    if let Some(rounds) = options.rounds {
        add(true, format!("--rounds {rounds}"));
    }
    if let Some(timeout) = options.timeout {
        add(true, format!("--timeout {timeout}"));
    }
    words.join(" ")
}

/// The line of a test's function. The kernel knows only that of the `kernel_test!` around it.
fn line_of(test: &TestCase, source: &str) -> usize {
    let macro_line = usize::try_from(test.line).expect("a line number");
    let name = test.name.rsplit("::").next().unwrap_or(&test.name);
    let start = format!("fn {name}()");
    let mut lines = source
        .lines()
        .enumerate()
        .skip(macro_line.saturating_sub(1));
    let line = lines.find(|(_, line)| line.trim_start().starts_with(&start));
    line.map_or(macro_line, |(index, _)| index + 1)
}

fn section(text: &mut String, title: &str, content: &str) {
    if content.trim().is_empty() {
        let _ = writeln!(text, "--- {title}: nothing");
        return;
    }
    let _ = writeln!(text, "--- {title}:");
    // A kernel that does not know whether a line is open begins a new one each time.
    let mut lines: Vec<_> = content.lines().collect();
    lines.dedup_by(|line, before| line.trim().is_empty() && before.trim().is_empty());
    let left_out = lines.len().saturating_sub(FIRST_LINES + LAST_LINES);
    for (index, line) in lines.iter().enumerate() {
        if left_out > 0 && index == FIRST_LINES {
            let _ = writeln!(text, "… {left_out} lines left out; --nocapture shows all …");
        }
        if left_out == 0 || index < FIRST_LINES || index >= FIRST_LINES + left_out {
            let _ = writeln!(text, "| {}", line.trim_end());
        }
    }
    let _ = writeln!(text, "---");
}

/// The instruction pointers that the guest named, each once.
fn addresses(serial: &str) -> Vec<u64> {
    let mut found = Vec::new();
    for piece in serial.split("rip=0x").skip(1) {
        let digits = piece
            .split(|letter: char| !letter.is_ascii_hexdigit())
            .next();
        let address = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        if let Some(address) = address.filter(|address| !found.contains(address)) {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test_case() -> TestCase {
        TestCase {
            name: "a::b".to_owned(),
            function: "suite::a::b".to_owned(),
            file: "a.rs".to_owned(),
            line: 7,
            flags: 0,
            timeout_seconds: 0,
            cores: 0,
            machine: String::new(),
        }
    }

    #[test]
    fn the_line_of_a_test_is_that_of_its_function() {
        let source = "fn b() {}\n\nkernel_test! {\n    /// Says `fn b()`.\n    fn bb() {}\n\n    fn b() panics(\"x\") {\n    }\n}\n";
        let test = TestCase {
            line: 3,
            ..test_case()
        };
        assert_eq!(line_of(&test, source), 7);
        assert_eq!(line_of(&test, "the file has changed"), 3);
    }

    #[test]
    fn each_instruction_pointer_is_found_once() {
        assert_eq!(
            addresses("#PF rip=0x100abc rsp=0x1\nrip=0x100abc\nrip=0xdef, rip=zero"),
            [0x10_0abc, 0xdef]
        );
    }
}
