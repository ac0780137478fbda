//! Where programs are, and what installs QEMU.

use std::env;
use std::path::PathBuf;

use anyhow::{Result, bail};

/// The name of QEMU's program on every system.
pub const QEMU: &str = "qemu-system-x86_64";

/// The commands that install QEMU, one for each package manager.
pub const ADVICE: &str = "  \
  Debian, Ubuntu   sudo apt-get update && sudo apt-get install --no-install-recommends qemu-system-x86
  Fedora           sudo dnf install qemu-system-x86-core
  Arch             sudo pacman -S qemu-system-x86
  macOS            brew install qemu
  Nix              nix profile install nixpkgs#qemu";

/// Returns where a program lies that the search path knows.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// Returns where QEMU is.
///
/// # Errors
///
/// Says what installs it if it is missing. Nothing is installed.
pub fn qemu() -> Result<PathBuf> {
    match find(QEMU) {
        Some(program) => Ok(program),
        None => bail!("{QEMU} is not in PATH. Install QEMU with\n{ADVICE}"),
    }
}
