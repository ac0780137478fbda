//! The verb `demo`: boots the demo kernel; on a terminal the person types to it, elsewhere it must end by itself.

mod keys;
mod recording;
mod traced;

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use cargo_kfiber::machine::qemu::{self, End};
use cargo_kfiber::machine::{Machine, Serial};
use clap::Parser as _;

use crate::cli::{Build, Demo};
use crate::kernel::cargo;
use crate::steps::Counts;
use crate::{console, setup, whole_kernels, workspace};
use recording::Line;

/// Word on the kernel's command line that says that a person watches.
const TERMINAL: &str = "terminal";
/// Status of QEMU after the guest reported success.
const SUCCESS: i32 = 33;

/// Runs the verb; true if the demo ended as it should.
pub(crate) fn verb(options: &Demo) -> Result<bool> {
    if let Some(kernel) = options.kernel {
        return whole_kernels::demo(kernel, options);
    }
    if let Some(file) = &options.trace {
        return traced::verb(options, file).map(|()| true);
    }
    let mut machine = machine(options)?;
    if let Some(file) = &options.record {
        return record(&machine, options.timeout, file).map(|()| true);
    }
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        machine.serial = Serial::Terminal;
        TERMINAL.clone_into(&mut machine.command_line);
        return interactive(machine);
    }
    let echo = |line: &str| {
        print!("{line}");
        // Nobody is left to show it to if this fails, and the kernel runs to its end anyway.
        drop(std::io::stdout().flush());
    };
    play(&machine, options.timeout, &echo).map(|()| true)
}

/// Has the demo play its script, as a test: what it prints is shown only if it does not end well.
pub(crate) fn test(build: &Build) -> Result<Counts> {
    let printed = test_with(&["demo"], build)?;
    let file = recording::COMMITTED;
    let picture = fs::read_to_string(workspace::root().join(file)).context(file)?;
    if recording::commands(&printed) != recording::commands_of(&picture) {
        bail!(
            "{file} shows other commands than the demo's script has: `cargo xtask demo --record {file}` makes it again"
        );
    }
    Ok(Counts::PASSED)
}

/// Has the demo play its script for a trace, as a test: the trace says what the demo has counted.
pub(crate) fn test_trace(build: &Build) -> Result<Counts> {
    let mut counts = Counts::default();
    for words in [&["demo"][..], &["demo", "--smp", "4"]] {
        let options = Demo {
            build: build.clone(),
            ..Demo::parse_from(words)
        };
        traced::test(&options)?;
        counts = counts.plus(Counts::PASSED);
    }
    Ok(counts)
}

/// Has the demo play its script on four cores, as a test.
pub(crate) fn test_cores(build: &Build) -> Result<Counts> {
    let printed = test_with(&["demo", "--smp", "4"], build)?;
    if !printed.contains("4 cores") {
        bail!("the demo did not start four cores; it printed\n{printed}");
    }
    Ok(Counts::PASSED)
}

/// Has the demo play its script, and returns what it printed.
fn test_with(words: &[&str], build: &Build) -> Result<String> {
    let options = Demo {
        build: build.clone(),
        ..Demo::parse_from(words)
    };
    let printed = Mutex::new(String::new());
    let keep = |line: &str| printed.lock().expect("no holder panics").push_str(line);
    let ended = play(&machine(&options)?, options.timeout, &keep);
    let printed = printed.into_inner().expect("no holder panics");
    if ended.is_err() {
        print!("{printed}");
    }
    ended.map(|()| printed)
}

/// Types to the demo as a person does, as a test.
pub(crate) fn test_keys(build: &Build) -> Result<Counts> {
    let options = Demo {
        build: build.clone(),
        ..Demo::parse_from(["demo"])
    };
    let mut machine = machine(&options)?;
    TERMINAL.clone_into(&mut machine.command_line);
    let deadline = Duration::from_secs(options.timeout.into());
    keys::test(&machine, deadline, SUCCESS).map(|()| Counts::PASSED)
}

/// Has the demo play its script, and writes what it prints, with the times, as a moving picture.
fn record(machine: &Machine, timeout: u32, file: &Path) -> Result<()> {
    let lines = Mutex::new((None, Vec::new()));
    let keep = |text: &str| {
        let (first, lines) = &mut *lines.lock().expect("no holder panics");
        // The machine's boot is not part of the picture.
        let since = first.get_or_insert_with(Instant::now).elapsed();
        let at = u64::try_from(since.as_millis()).expect("a deadline ends it before");
        let text = text.trim_end().to_owned();
        lines.push(Line { at, text });
    };
    console::say("recording the demo's script");
    play(machine, timeout, &keep)?;
    let (_, lines) = lines.into_inner().expect("no holder panics");
    let picture = recording::svg(&recording::with_pauses(&lines));
    fs::write(file, picture).with_context(|| format!("cannot write {}", file.display()))?;
    console::say(format!("{} shows it in any browser", file.display()));
    Ok(())
}

fn machine(options: &Demo) -> Result<Machine> {
    let program = setup::qemu::ensure()?;
    let kernel = if options.machine.smp > 1 {
        cargo::build_kernel_with_smp("demo", &options.build)?
    } else {
        cargo::build_kernel("demo", &options.build)?
    };
    Ok(Machine::new(
        &program,
        &options.machine,
        &kernel,
        String::new(),
    ))
}

/// Runs the demo to its end, which must be success.
fn play(machine: &Machine, timeout: u32, echo: &qemu::Listener<'_>) -> Result<()> {
    let deadline = Duration::from_secs(timeout.into());
    let run = qemu::run(&mut machine.command(), Some(deadline), echo)?;
    if run.end == End::Status(SUCCESS) {
        return Ok(());
    }
    eprint!("{}", run.stderr);
    match run.end {
        End::Deadline(_) => bail!("the demo did not end within {timeout} s"),
        End::Status(0) => {
            bail!("the demo's machine ended with status 0: a triple fault, or a stop from outside")
        }
        End::Status(code) => bail!("the demo ended with status {code} instead of {SUCCESS}"),
        End::Signal(signal) => bail!("signal {signal} ended QEMU"),
    }
}

/// Gives the terminal to QEMU, which knows how to put it into raw mode and back.
fn interactive(mut machine: Machine) -> Result<bool> {
    // Ctrl-A X and a triple fault both end QEMU with status 0; only the log tells them apart.
    let log = tempfile::NamedTempFile::new()?;
    machine.interrupt_log = Some(log.path().to_owned());
    console::say("the serial port is yours: Ctrl-A X ends QEMU, Ctrl-A H lists its other keys");
    let status = machine.command().status().context("cannot start QEMU")?;
    let text = fs::read(log.path())?;
    if String::from_utf8_lossy(&text).contains("Triple fault") {
        bail!("the demo kernel ended in a triple fault");
    }
    match status.code() {
        Some(SUCCESS | 0) => Ok(true),
        _ => bail!("the demo ended with {status} instead of status {SUCCESS}"),
    }
}
