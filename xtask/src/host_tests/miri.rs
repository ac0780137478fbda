//! The library's tests without its assembly: under Miri, with threads for fibers, in both models of aliasing.

use std::process::Command;

use anyhow::{Result, bail};

use crate::seeds::Seeds;
use crate::setup::find_program;
use crate::steps::Counts;
use crate::{console, host_tests, workspace};

/// Programs that Miri cannot run: child processes, files, assembly.
const OTHER_TESTS: &[&str] = &["compile_fail", "panics", "readme", "floating_point"];

/// Programs that run with the borrows in a tree only if there is time: that model takes Miri several times as long. The
/// others cover references to stacks, contexts and fibers, and those of a scheduler to its fibers.
const LONG_IN_A_TREE: &[&str] = &[
    "auto_traits",
    "errors",
    "explore",
    "failures",
    "leaks",
    "model",
    "planted_faults",
    "properties",
    "scheduler_misuse",
    "scheduler_model",
    "smoke",
    "stall",
    "sync",
];

/// Programs in which threads for fibers change nothing: the compiler's own work.
const WITHOUT_FIBERS: &[&str] = &["compile_fail", "readme", "unsupported"];

/// What every run of Miri is given. Suspended fibers that are dropped leak, as documented; here that is a thread.
const FLAGS: &str = "-Zmiri-strict-provenance -Zmiri-ignore-leaks";

/// With the borrows in a stack.
pub(crate) fn stacked_borrows() -> Result<Counts> {
    run(FLAGS, OTHER_TESTS)
}

/// With the borrows in a tree.
pub(crate) fn tree_borrows(is_long: bool) -> Result<Counts> {
    let flags = format!("{FLAGS} -Zmiri-tree-borrows");
    if is_long {
        return run(&flags, OTHER_TESTS);
    }
    run(&flags, &[OTHER_TESTS, LONG_IN_A_TREE].concat())
}

/// The same stand-in for the switch, in ordinary threads.
pub(crate) fn threads(seeds: Seeds) -> Result<Counts> {
    let mut command = Command::new("cargo");
    command
        .args(["test", "--package", "kfiber"])
        .args(host_tests::programs_without(WITHOUT_FIBERS)?)
        .env("RUSTFLAGS", "--cfg kfiber_threads")
        // Enough for a backtrace. Everything is built for this step alone.
        .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
        .env(
            "CARGO_TARGET_DIR",
            workspace::target_directory()?.join("threads"),
        )
        .current_dir(workspace::root());
    seeds.tell(&mut command);
    host_tests::count(&mut command)
}

fn run(flags: &str, left_out: &[&str]) -> Result<Counts> {
    if let Err(error) = ensure() {
        console::loud(format!("SKIPPED: this machine cannot have Miri: {error:#}"));
        return Ok(Counts::SKIPPED);
    }
    let command = |words: &[String]| {
        let mut command = Command::new("cargo");
        command
            .args(["+nightly", "miri", "test", "--package", "kfiber"])
            .args(words)
            .env("MIRIFLAGS", flags)
            .current_dir(workspace::root());
        command
    };
    let programs = host_tests::programs_without(left_out)?;
    console::run(
        "building the tests for Miri",
        command(&programs).arg("--no-run"),
    )?;
    // Miri runs the tests of a program one after the other, on one processor. The last programs take longest.
    let (library, others) = programs.split_at(1);
    let each = others.chunks(2).rev().chain([library]);
    host_tests::count_all(each.map(command).collect())
}

/// Installs Miri if it is missing and rustup can.
fn ensure() -> Result<()> {
    if is_present() {
        return Ok(());
    }
    if find_program("rustup").is_none() {
        bail!("rustup is not installed here");
    }
    let mut command = Command::new("rustup");
    let words = ["toolchain", "install", "nightly", "--profile", "minimal"];
    command
        .args(words)
        .args(["--component", "miri", "--component", "rust-src"]);
    console::run(
        "fetching Miri (rustup toolchain install nightly)",
        &mut command,
    )?;
    if !is_present() {
        bail!("`cargo +nightly miri` still does not run");
    }
    Ok(())
}

fn is_present() -> bool {
    Command::new("cargo")
        .args(["+nightly", "miri", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}
