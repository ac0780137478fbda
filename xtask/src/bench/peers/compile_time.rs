//! How long it takes to build the library from nothing, as a kernel's first build does.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::samples::median;
use crate::cli::CoreSource;
use crate::console;

/// The median of several builds, in seconds.
pub(super) fn measure(core: CoreSource, builds: usize) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..builds {
        times.push(build(core)?.as_secs_f64());
    }
    median(times).context("no build was asked for")
}

fn build(core: CoreSource) -> Result<Duration> {
    let folder = tempfile::tempdir()?;
    let mut command = core.cargo("build", folder.path());
    command.args(["--package", "kfiber", "--release", "--quiet"]);
    // A kernel builds it with its own profile, and cargo's has no debug information, while this workspace's has.
    command.env("CARGO_PROFILE_RELEASE_DEBUG", "false");
    let start = Instant::now();
    console::run(
        "the library from nothing, for the bare machine",
        &mut command,
    )?;
    Ok(start.elapsed())
}
