//! The verb `compile-time`: builds the library from nothing, as a user's cargo does, and prints how long processors took.
//!
//! Time of processors does not depend on how many there are, and little on what else the machine does. It is printed and never
//! judged.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use anstream::println;
use anyhow::{Context as _, Result};

use crate::{console, setup, workspace};

/// A build that is measured.
struct Build {
    name: &'static str,
    /// It is one for the bare machine, and not for the host.
    is_for_a_kernel: bool,
    is_release: bool,
    /// What is said of the library's features.
    features: &'static [&'static str],
}

/// The default features, without the crate that takes longest.
pub(crate) const WITHOUT_X86_64: &[&str] = &[
    "--no-default-features",
    "--features=fp-control,gdb-script,stack-check",
];

const BUILDS: [Build; 5] = [
    Build {
        name: "for a kernel",
        is_for_a_kernel: true,
        is_release: false,
        features: &[],
    },
    Build {
        name: "for a kernel, with --release",
        is_for_a_kernel: true,
        is_release: true,
        features: &[],
    },
    Build {
        name: "for a kernel, without the feature x86_64",
        is_for_a_kernel: true,
        is_release: false,
        features: WITHOUT_X86_64,
    },
    Build {
        name: "… with --release",
        is_for_a_kernel: true,
        is_release: true,
        features: WITHOUT_X86_64,
    },
    Build {
        name: "for tests on the host",
        is_for_a_kernel: false,
        is_release: false,
        features: &[],
    },
];

/// Runs the verb. It fails only if something does not compile.
pub(crate) fn verb() -> Result<bool> {
    println!("seconds of processors; the library alone, and all with what it depends on");
    for build in &BUILDS {
        let folder = tempfile::tempdir()?;
        let all = seconds_of(&mut build.command(folder.path())?)?;
        forget_the_library(folder.path())?;
        let alone = seconds_of(&mut build.command(folder.path())?)?;
        println!("{:<42} {alone:6.2} {all:6.2}", build.name);
    }
    Ok(true)
}

impl Build {
    /// The command, with the profiles that cargo has by itself: those of the workspace add debug information.
    fn command(&self, folder: &Path) -> Result<Command> {
        let mut command = if self.is_for_a_kernel {
            setup::core::ensure(None)?.cargo("build", folder)
        } else {
            let mut command = Command::new("cargo");
            command.current_dir(workspace::root());
            command.arg("build").arg("--target-dir").arg(folder);
            command
        };
        if self.is_release {
            command.arg("--release");
        }
        command.args(["--package", "kfiber", "--quiet"]);
        command.args(self.features);
        command.args(["--config", "profile.release.package.'*'.debug=false"]);
        command.env("CARGO_PROFILE_RELEASE_DEBUG", "false");
        // As cargo builds what comes from a registry.
        command.env("CARGO_INCREMENTAL", "0");
        Ok(command)
    }
}

/// Removes what was built of the library itself, wherever it is below the folder, so that it is built again.
fn forget_the_library(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_of_library = path
            .file_name()
            .and_then(OsStr::to_str)
            .is_some_and(|name| name.starts_with("kfiber-"));
        if is_of_library && path.parent().is_some_and(|it| it.ends_with(".fingerprint")) {
            fs::remove_dir_all(path)?;
        } else if path.is_dir() {
            forget_the_library(&path)?;
        }
    }
    Ok(())
}

/// Runs the command and returns the seconds that processors spent on it, in user mode, also in its children.
fn seconds_of(command: &mut Command) -> Result<f64> {
    let before = ticks_of_children()?;
    console::run("build the library", command)?;
    #[expect(clippy::cast_precision_loss, reason = "it is a small number")]
    let ticks = (ticks_of_children()? - before) as f64;
    Ok(ticks / TICKS_PER_SECOND)
}

/// Linux counts the times that it shows to programs in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// Returns how long all ended children of this process have run in user mode: see `proc_pid_stat(5)`.
fn ticks_of_children() -> Result<u64> {
    let path = "/proc/self/stat";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    // The name of the program, in parentheses, may contain anything.
    let (_, fields) = text.rsplit_once(')').context("no name of a program")?;
    /// `cutime` is the 16th field, and the first after the name is the third.
    const AT: usize = 16 - 3;
    let ticks = fields
        .split_whitespace()
        .nth(AT)
        .context("too few fields")?;
    ticks.parse().with_context(|| format!("no number: {ticks}"))
}

#[cfg(test)]
mod tests {
    use super::ticks_of_children;
    use std::process::Command;

    #[test]
    fn the_time_of_a_child_that_computes_counts() {
        let before = ticks_of_children().expect("Linux");
        let script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let status = Command::new("sh").args(["-c", script]).status();
        assert!(status.expect("there is a shell").success());
        assert!(ticks_of_children().expect("Linux") > before);
    }
}
