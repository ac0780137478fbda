//! The program `peers`: built in several ways, and run with its progress shown.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::kernel::cargo;
use crate::setup::{find_program, packages};
use crate::{console, workspace};

/// How much is measured.
#[derive(Debug)]
pub(super) struct Effort {
    /// The first so many of [`BUILDS`].
    builds: usize,
    /// Of each build: the system puts the stack and the mappings elsewhere each time.
    pub(super) processes: usize,
    pub(super) repetitions: usize,
    pub(super) microseconds: usize,
    /// Of what schedulers do: processes of the first build.
    pub(super) of_schedulers: Run,
    /// Builds of the library from scratch.
    pub(super) compilations: usize,
}

/// Processes that measure the same.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) processes: usize,
    pub(super) repetitions: usize,
    pub(super) microseconds: usize,
}

impl Effort {
    pub(super) const FULL: Self = Self {
        builds: BUILDS.len(),
        processes: 2,
        repetitions: 40,
        microseconds: 2000,
        of_schedulers: Run {
            processes: 3,
            repetitions: 11,
            microseconds: 5000,
        },
        compilations: 3,
    };
    /// Enough to see whether something went wrong.
    pub(super) const QUICK: Self = Self {
        builds: 1,
        processes: 1,
        repetitions: 9,
        microseconds: 500,
        of_schedulers: Run {
            processes: 1,
            repetitions: 3,
            microseconds: 2000,
        },
        compilations: 1,
    };
}

/// A way to build the program: same instructions, other places.
#[derive(Debug)]
pub(super) struct Build {
    name: &'static str,
    pub(super) what: &'static str,
    /// For the compiler's last run, which with link-time optimisation makes all machine code.
    flags: &'static [&'static str],
}

const BUILDS: [Build; 3] = [
    Build {
        name: "plain",
        what: "as it comes",
        flags: &[],
    },
    Build {
        name: "functions",
        what: "every function at a multiple of 64",
        flags: &["-Cllvm-args=-align-all-functions=6"],
    },
    Build {
        name: "blocks",
        what: "every block at a multiple of 32",
        flags: &["-Cllvm-args=-align-all-blocks=5"],
    },
];

pub(super) fn builds(effort: &Effort) -> &'static [Build] {
    &BUILDS[..effort.builds]
}

/// What a C compiler is called, and the Debian package that has one.
const C_COMPILER: &str = "cc";
const PACKAGES: &[&str] = &["gcc", "libc6-dev"];

/// The features of the program that this machine can build: some contenders are assembly for a C compiler, which is
/// installed if it is missing.
pub(super) fn ensure_c_compiler() -> Vec<&'static str> {
    let is_there = || find_program(C_COMPILER).is_some();
    if !is_there()
        && packages::can_install()
        && let Err(error) = packages::install(PACKAGES)
    {
        console::loud(format!("{error:#}"));
    }
    if is_there() {
        return vec!["c-compiler"];
    }
    console::loud(format!(
        "no `{C_COMPILER}`: Boost.Context and `generator` are left out; {}",
        packages::apt_line(PACKAGES)
    ));
    Vec::new()
}

/// Builds the program and returns a copy that the next build does not replace.
pub(super) fn build(build: &Build, features: &[&str]) -> Result<PathBuf> {
    console::say(format!("program `peers`, {}", build.what));
    let mut command = Command::new("cargo");
    command
        .current_dir(workspace::root())
        .args(["rustc", "--package", "peers", "--bin", "peers"])
        .args(["--profile", "peers", "--no-default-features"])
        .args(["--features", &features.join(",")])
        .arg("--message-format=json-render-diagnostics")
        .arg("--")
        .args(build.flags);
    let built = cargo::executable_of(&mut command, "peers")?;
    let built = built.context("cargo built `peers`, but named no executable")?;
    let folder = workspace::target_directory()?.join("peers-builds");
    fs::create_dir_all(&folder)?;
    let copy = folder.join(build.name);
    fs::copy(&built, &copy).with_context(|| format!("cannot copy {}", built.display()))?;
    Ok(copy)
}

/// Runs one process and returns what it printed.
pub(super) fn measure(path: &Path, effort: &Effort, seed: u64, what: &str) -> Result<String> {
    let (repetitions, microseconds) = (effort.repetitions, effort.microseconds);
    run(path, "measure", (repetitions, microseconds), seed, what)
}

/// Runs one process that measures what schedulers do, and returns what it printed.
pub(super) fn measure_schedulers(path: &Path, effort: &Effort, seed: u64) -> Result<String> {
    let Run {
        processes,
        repetitions,
        microseconds,
    } = effort.of_schedulers;
    let what = format!("schedulers, process {seed} of {processes}");
    run(path, "schedulers", (repetitions, microseconds), seed, &what)
}

fn run(
    path: &Path,
    verb: &str,
    (repetitions, microseconds): (usize, usize),
    seed: u64,
    what: &str,
) -> Result<String> {
    let mut command = Command::new(path);
    command.arg(verb).args([
        repetitions.to_string(),
        microseconds.to_string(),
        seed.to_string(),
    ]);
    console::say(what);
    let bar = console::bar(repetitions, what);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", console::line(&command)))?;
    let output = child.stdout.take().expect("stdout is piped");
    let mut text = String::new();
    for line in BufReader::new(output).lines() {
        let line = line?;
        if line.starts_with("clock ") {
            bar.inc(1);
        }
        text += &line;
        text.push('\n');
    }
    bar.finish_and_clear();
    let status = child.wait()?;
    ensure!(
        status.success(),
        "{} ended with {status}",
        console::line(&command)
    );
    Ok(text)
}

/// Has the program verify everything; false if something is wrong.
pub(super) fn verify(path: &Path) -> Result<bool> {
    let mut command = Command::new(path);
    command.arg("check");
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", console::line(&command)))?;
    Ok(status.success())
}
