//! The library's tests without its assembly: under Miri, with threads for fibers, in both models of aliasing.

use std::process::Command;

use anyhow::{Result, bail};

use crate::setup::find_program;
use crate::steps::Counts;
use crate::{console, host_tests, workspace};

/// Programs that Miri cannot run: child processes, files, assembly.
const OTHER_TESTS: &[&str] = &["compile_fail", "panics", "readme", "floating_point"];

/// What every run of Miri is given. Suspended fibers that are dropped leak, as documented; here that is a thread.
const FLAGS: &str = "-Zmiri-strict-provenance -Zmiri-ignore-leaks";

/// With the borrows in a stack.
pub(crate) fn stacked_borrows() -> Result<Counts> {
    run(FLAGS)
}

/// With the borrows in a tree.
pub(crate) fn tree_borrows() -> Result<Counts> {
    run(&format!("{FLAGS} -Zmiri-tree-borrows"))
}

/// The same stand-in for the switch, in ordinary threads.
pub(crate) fn threads() -> Result<Counts> {
    let mut command = Command::new("cargo");
    command
        .args(["test", "--package", "kfiber", "--lib", "--tests"])
        .env("RUSTFLAGS", "--cfg kfiber_threads")
        .env(
            "CARGO_TARGET_DIR",
            workspace::target_directory()?.join("threads"),
        )
        .current_dir(workspace::root());
    host_tests::count(&mut command)
}

fn run(flags: &str) -> Result<Counts> {
    if let Err(error) = ensure() {
        console::loud(format!("SKIPPED: this machine cannot have Miri: {error:#}"));
        return Ok(Counts::SKIPPED);
    }
    let mut command = Command::new("cargo");
    command
        .args(["+nightly", "miri", "test", "--package", "kfiber", "--lib"])
        .env("MIRIFLAGS", flags)
        .current_dir(workspace::root());
    for name in test_programs()? {
        command.args(["--test", &name]);
    }
    host_tests::count(&mut command)
}

/// The library's test programs that Miri can run.
fn test_programs() -> Result<Vec<String>> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir(workspace::root())
        .no_deps()
        .exec()?;
    let names = metadata
        .packages
        .into_iter()
        .filter(|package| package.name == "kfiber")
        .flat_map(|package| package.targets)
        .filter(|target| target.is_test() && !OTHER_TESTS.contains(&target.name.as_str()))
        .map(|target| target.name)
        .collect::<Vec<_>>();
    if names.is_empty() {
        bail!("the library has no tests that Miri can run");
    }
    Ok(names)
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
