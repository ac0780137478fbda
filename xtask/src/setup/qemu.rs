//! QEMU: the program that plays the bare machine.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::setup::{find_program, packages};

/// The program's name on every system.
pub(crate) const PROGRAM: &str = "qemu-system-x86_64";
/// The Debian package that contains it.
const PACKAGES: &[&str] = &["qemu-system-x86"];

/// Where QEMU is; installs it first if it is missing and that can be done.
pub(crate) fn ensure() -> Result<PathBuf> {
    if let Some(program) = find_program(PROGRAM) {
        return Ok(program);
    }
    if !packages::can_install() {
        bail!(
            "QEMU is missing and cannot be installed from here. Install it with\n{}",
            advice()
        );
    }
    packages::install(PACKAGES)?;
    match find_program(PROGRAM) {
        Some(program) => Ok(program),
        None => bail!("the package is installed, but {PROGRAM} is still not in PATH"),
    }
}

/// The command that installs QEMU, for each package manager.
pub(crate) fn advice() -> String {
    format!(
        "  Debian, Ubuntu   {}\n  Fedora           sudo dnf install qemu-system-x86-core\n  \
         Arch             sudo pacman -S qemu-system-x86\n  macOS            brew install qemu\n  \
         Nix              nix profile install nixpkgs#qemu",
        packages::apt_line(PACKAGES)
    )
}
