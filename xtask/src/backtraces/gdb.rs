//! Runs gdb over the scenes of a kernel and takes the counts from its last line.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result, bail};
use cargo_kfiber::machine::Machine;
use cargo_kfiber::machine::qemu;
use kfiber_test::protocol::TEST_KEY;

use super::suite::{KERNEL, options};
use crate::cli::Build;
use crate::kernel::cargo;
use crate::steps::Counts;
use crate::{console, setup, workspace};

/// The test that plays the scenes at full speed.
const TEST: &str = "backtrace::scenes_for_a_debugger";
/// A session takes some seconds, in a debug kernel half a minute.
const DEADLINE: Duration = Duration::from_secs(600);
/// Scenes with fibers in `tests-qemu/suite/backtrace/scene.rs`.
pub(super) const SCENES: u64 = 4;
/// Stops in each of them, and backtraces that are compared in full at these.
const STOPS: u64 = 5;
const GOLDEN: u64 = 8;

/// Which instructions are stepped through.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stepping {
    /// All of a scene.
    All,
    /// Those of each switch, and some on either side of it.
    Switches,
}

/// What gdb found.
#[derive(Debug)]
pub(super) struct Findings {
    numbers: BTreeMap<String, u64>,
    is_whole: bool,
    /// Everything that the script wrote about what is wrong.
    pub(super) complaints: String,
    /// The line of counts.
    pub(super) line: String,
}

impl Findings {
    fn number(&self, name: &str) -> u64 {
        self.numbers.get(name).copied().unwrap_or(0)
    }

    /// Wrong backtraces.
    pub(super) fn bad(&self) -> u64 {
        self.number("bad")
    }

    /// Whether nothing was wrong, and enough was looked at to say so.
    fn is_good(&self, scenes: u64) -> bool {
        self.is_whole
            && self.bad() == 0
            && self.number("stops") == STOPS * scenes
            && self.number("golden") == GOLDEN * scenes
            && self.number("steps") >= 500 * scenes
    }
}

/// Whether gdb is there; if not, says loudly what is left out.
pub(super) fn is_present() -> bool {
    let is_present = setup::find_program("gdb").is_some();
    if !is_present {
        console::loud(format!(
            "SKIPPED: gdb is missing, so its backtraces are not checked. Install it with\n  {}",
            setup::packages::apt_line(&["gdb"])
        ));
    }
    is_present
}

/// All scenes of a stock kernel.
pub(super) fn check(build: &Build) -> Result<Counts> {
    if !is_present() {
        return Ok(Counts::SKIPPED);
    }
    let kernel = cargo::build_kernel(KERNEL, build)?;
    // A debug build has so many instructions outside of switches that gdb would take minutes.
    let stepping = if build.release {
        Stepping::All
    } else {
        Stepping::Switches
    };
    let findings = run(&kernel, SCENES, stepping)?;
    println!("{}", findings.line);
    let is_good = findings.is_good(SCENES);
    if !is_good {
        print!("{}", findings.complaints);
    }
    Ok(Counts::from_success(is_good))
}

/// Boots a kernel and has gdb look at its first `scenes` scenes.
pub(super) fn run(kernel: &Path, scenes: u64, stepping: Stepping) -> Result<Findings> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("gdb");
    let machine_options = options(&[]).tests.machine;
    let program = setup::qemu::ensure()?;
    let command_line = format!("{TEST_KEY}{TEST}");
    let mut machine = Machine::new(&program, &machine_options, kernel, command_line);
    machine.gdb_socket = Some(socket.clone());
    let output = thread::scope(|scope| {
        let machine =
            scope.spawn(move || qemu::run(&mut machine.command(), Some(DEADLINE), &|_| ()));
        let start = Instant::now();
        while !socket.exists() && !machine.is_finished() && start.elapsed() < DEADLINE {
            thread::sleep(Duration::from_millis(10));
        }
        let output = if machine.is_finished() {
            None
        } else {
            Some(command(kernel, &socket, scenes, stepping).output())
        };
        let run = machine
            .join()
            .expect("the machine's thread does not panic")?;
        match output {
            Some(output) => output.context("cannot start gdb"),
            None => bail!("QEMU ended before gdb came: {:?}\n{}", run.end, run.stderr),
        }
    })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some(line) = text.lines().rev().find(|line| line.starts_with("end=")) else {
        let log = workspace::target_directory()?.join("backtraces.gdb.log");
        fs::write(&log, &output.stdout)?;
        bail!(
            "gdb ended without counts ({}); is it built with Python? Its output is in {}, its errors are\n{}",
            output.status,
            log.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let words = line
        .split_whitespace()
        .filter_map(|word| word.split_once('='));
    Ok(Findings {
        numbers: words
            .clone()
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect(),
        is_whole: words.clone().any(|word| word == ("end", "whole")),
        complaints: complaints(&text),
        line: line.to_owned(),
    })
}

fn command(kernel: &Path, socket: &Path, scenes: u64, stepping: Stepping) -> Command {
    let script = workspace::root().join("xtask/src/backtraces/scenes.py");
    let mut gdb = Command::new("gdb");
    // No file of the user's; the kernel and the script, and then the end.
    gdb.args(["-nx", "-batch"])
        .arg(kernel)
        .arg("-x")
        .arg(script);
    gdb.env("KFIBER_SOCKET", socket);
    gdb.env("KFIBER_SCENES", scenes.to_string());
    gdb.env(
        "KFIBER_STEPPING",
        match stepping {
            Stepping::All => "all",
            Stepping::Switches => "switches",
        },
    );
    gdb.env("PYTHONDONTWRITEBYTECODE", "1");
    gdb.stdin(Stdio::null());
    gdb
}

/// What the script says about wrong backtraces, without gdb's own account of each step.
fn complaints(text: &str) -> String {
    let mut complaints = String::new();
    let mut is_complaint = false;
    for line in text.lines() {
        is_complaint = line.starts_with("BAD ") || is_complaint && line.starts_with("    ");
        if is_complaint {
            complaints += line;
            complaints.push('\n');
        }
    }
    complaints
}
