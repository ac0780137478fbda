//! The step `loom`: the lock-free pieces of the scheduler in all interleavings.

use std::process::Command;

use anyhow::Result;

use crate::host_tests;
use crate::steps::Counts;
use crate::workspace;

/// Runs the models; each is one test.
pub(crate) fn models() -> Result<Counts> {
    let mut command = Command::new("cargo");
    command
        // Another build of everything, which must not throw away the usual one.
        .env("RUSTFLAGS", "--cfg loom")
        // Enough for a backtrace.
        .env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only")
        .env(
            "CARGO_TARGET_DIR",
            workspace::target_directory()?.join("loom"),
        )
        .args(["test", "--package", "kfiber", "--lib", "--release", "loom_"])
        .current_dir(workspace::root());
    let counts = host_tests::count(&mut command)?;
    // A filter that matches nothing is a success in libtest's eyes.
    Ok(if counts == Counts::default() {
        Counts::FAILED
    } else {
        counts
    })
}
