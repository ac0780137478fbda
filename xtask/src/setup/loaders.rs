//! What starts a kernel that QEMU does not start by itself: GRUB, UEFI firmware, Limine.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::console;
use crate::setup::{find_program, packages};

/// The programs that make a disk with GRUB.
const GRUB_PROGRAMS: [&str; 3] = ["grub-mkrescue", "xorriso", "mformat"];
/// GRUB itself, for machines with a BIOS.
const GRUB_MODULES: &str = "/usr/lib/grub/i386-pc";
const GRUB_PACKAGES: &[&str] = &["grub-pc-bin", "grub-common", "xorriso", "mtools"];

/// The variable that says where the firmware is.
pub(crate) const OVMF: &str = "OVMF";
/// Where distributions put the firmware, as one file for QEMU's option `-bios`.
const OVMF_FILES: [&str; 4] = [
    "/usr/share/ovmf/OVMF.fd",
    "/usr/share/qemu/OVMF.fd",
    "/usr/share/edk2/x64/OVMF.4m.fd",
    "/usr/share/edk2-ovmf/x64/OVMF.fd",
];
const OVMF_PACKAGES: &[&str] = &["ovmf"];

/// The variable that says where Limine is.
pub(crate) const LIMINE: &str = "LIMINE";
/// What a UEFI machine starts.
const LIMINE_FILE: &str = "BOOTX64.EFI";

/// Makes sure that disks with GRUB can be made.
pub(crate) fn ensure_grub() -> Result<()> {
    ensure("GRUB", GRUB_PACKAGES, || grub().then_some(()))
}

/// Whether disks with GRUB can be made.
pub(crate) fn grub() -> bool {
    GRUB_PROGRAMS
        .iter()
        .all(|name| find_program(name).is_some())
        && Path::new(GRUB_MODULES).is_dir()
}

/// The command that installs GRUB.
pub(crate) fn grub_advice() -> String {
    packages::apt_line(GRUB_PACKAGES)
}

/// Where the UEFI firmware for QEMU is; installs it first if it is missing and that can be done.
pub(crate) fn ensure_ovmf() -> Result<PathBuf> {
    ensure("UEFI firmware for QEMU", OVMF_PACKAGES, ovmf)
}

/// Where the UEFI firmware for QEMU is.
pub(crate) fn ovmf() -> Option<PathBuf> {
    if let Some(file) = env::var_os(OVMF) {
        return Some(file.into());
    }
    OVMF_FILES
        .iter()
        .map(PathBuf::from)
        .find(|file| file.is_file())
}

/// The command that installs the firmware.
pub(crate) fn ovmf_advice() -> String {
    packages::apt_line(OVMF_PACKAGES)
}

/// Checks the folder in which somebody has Limine, which cannot be installed from here.
pub(crate) fn limine(folder: Option<&Path>) -> Result<PathBuf> {
    let Some(folder) = folder else {
        bail!(
            "no package has Limine: name a folder with its {LIMINE_FILE}, which a release of Limine has, by --limine \
             or by the variable {LIMINE}"
        );
    };
    if !folder.join(LIMINE_FILE).is_file() {
        bail!("there is no {LIMINE_FILE} in {}", folder.display());
    }
    Ok(folder.canonicalize()?)
}

/// Makes sure that the program in `folder`, which contains the crate `bootloader`, can be built below `target`. It builds
/// the loader itself, and that only nightly Rust can do.
pub(crate) fn ensure_bootloader(folder: &Path, target: &Path) -> Result<()> {
    const ADVICE: &str = "rustup toolchain install nightly --component rust-src";
    let mut rustc = Command::new("rustc");
    rustc
        .args(["+nightly", "--print", "sysroot"])
        // The outer cargo's choice of toolchain would override the one asked for.
        .env_remove("RUSTUP_TOOLCHAIN");
    let has_source = rustc.output().is_ok_and(|output| {
        let sysroot = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success()
            && Path::new(sysroot.trim())
                .join("lib/rustlib/src/rust/library/core")
                .is_dir()
    });
    if !has_source {
        bail!("the loader needs nightly Rust and the source of its library: `{ADVICE}`");
    }
    let mut cargo = Command::new("cargo");
    cargo
        .args(["+nightly", "build", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target.join("image"))
        .current_dir("/")
        .env_remove("RUSTUP_TOOLCHAIN");
    console::run("the loader of the crate `bootloader`, by nightly Rust", &mut cargo).context(
        "this nightly Rust does not build the loader; its release in `image/Cargo.toml` must be one for this nightly",
    )
}

/// Looks for a thing, installs its packages if it is not there, and looks again.
fn ensure<T>(what: &str, names: &[&str], find: impl Fn() -> Option<T>) -> Result<T> {
    if let Some(found) = find() {
        return Ok(found);
    }
    if !packages::can_install() {
        bail!(
            "{what} is missing and cannot be installed from here. On Debian and Ubuntu this does it:\n  {}",
            packages::apt_line(names)
        );
    }
    packages::install(names)?;
    match find() {
        Some(found) => Ok(found),
        None => bail!("the packages were installed, but {what} is still not found"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limine_is_taken_only_from_a_folder_that_has_it() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let error = limine(None).expect_err("nobody named a folder");
        assert!(error.to_string().contains("--limine"), "{error}");
        let error = limine(Some(folder.path())).expect_err("the folder is empty");
        assert!(error.to_string().contains(LIMINE_FILE), "{error}");
        std::fs::write(folder.path().join(LIMINE_FILE), "").expect("a file");
        assert!(limine(Some(folder.path())).is_ok());
    }
}
