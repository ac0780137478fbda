//! QEMU: the program that plays the bare machine.

use std::path::PathBuf;

use anyhow::{Result, bail};

use cargo_kfiber::program::ADVICE;

use crate::setup::{find_program, packages};

pub(crate) use cargo_kfiber::program::QEMU as PROGRAM;

/// The Debian package that contains it.
const PACKAGES: &[&str] = &["qemu-system-x86"];

/// Where QEMU is; installs it first if it is missing and that can be done.
pub(crate) fn ensure() -> Result<PathBuf> {
    if let Some(program) = find_program(PROGRAM) {
        return Ok(program);
    }
    if !packages::can_install() {
        bail!("QEMU is missing and cannot be installed from here. Install it with\n{ADVICE}");
    }
    packages::install(PACKAGES)?;
    match find_program(PROGRAM) {
        Some(program) => Ok(program),
        None => bail!("the package is installed, but {PROGRAM} is still not in PATH"),
    }
}
