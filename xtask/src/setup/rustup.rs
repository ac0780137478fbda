//! Toolchains and targets that only one step needs, which rustup fetches.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::core::has_core;
use crate::setup::find_program;
use crate::{console, workspace};

/// Makes sure that this toolchain, or the usual one, can build for `target`.
pub(crate) fn ensure(toolchain: Option<&str>, target: &str) -> Result<()> {
    if has_target(toolchain, target) {
        return Ok(());
    }
    if find_program("rustup").is_none() {
        bail!("rustup is not installed here");
    }
    let mut command = rustup();
    match toolchain {
        Some(version) => command
            .args(["toolchain", "install", version, "--profile", "minimal"])
            .args(["--target", target]),
        None => command.args(["target", "add", target]),
    };
    console::run("fetching another part of Rust", &mut command)?;
    if !has_target(toolchain, target) {
        bail!(
            "the target {target} is still missing after `{}`",
            console::line(&command)
        );
    }
    Ok(())
}

/// A cargo command of this toolchain.
pub(crate) fn cargo(toolchain: &str) -> Command {
    let mut command = rustup();
    command.args(["run", toolchain, "cargo"]);
    command
}

fn has_target(toolchain: Option<&str>, target: &str) -> bool {
    let mut command = match toolchain {
        Some(version) => {
            let mut command = rustup();
            command.args(["run", version, "rustc"]);
            command
        }
        None => Command::new("rustc"),
    };
    let output = command
        .args(["--print", "target-libdir", "--target", target])
        .current_dir(workspace::root())
        .output();
    output.is_ok_and(|output| {
        let folder = String::from_utf8_lossy(&output.stdout);
        output.status.success() && has_core(Path::new(folder.trim()))
    })
}

/// Without what the outer cargo says of its own toolchain.
fn rustup() -> Command {
    let mut command = Command::new("rustup");
    command.current_dir(workspace::root());
    for variable in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "LD_LIBRARY_PATH"] {
        command.env_remove(variable);
    }
    command
}
