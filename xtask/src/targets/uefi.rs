//! A UEFI application that switches, run by QEMU with the firmware OVMF.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use cargo_kfiber::machine::qemu::{self, End};
use kfiber_test::protocol;

use crate::kernel::cargo;
use crate::setup::{self, packages, rustup};
use crate::steps::Counts;

use crate::{console, workspace};

const TARGET: &str = "x86_64-unknown-uefi";
const APPLICATION: &str = "tests-uefi";
/// Where distributions put the firmware.
const FIRMWARE: [&str; 5] = [
    "/usr/share/ovmf/OVMF.fd",
    "/usr/share/qemu/OVMF.fd",
    "/usr/share/edk2/ovmf/OVMF_CODE.fd",
    "/usr/share/edk2/x64/OVMF.4m.fd",
    "/usr/share/OVMF/OVMF.fd",
];
/// The Debian package that contains it.
const PACKAGES: &[&str] = &["ovmf"];
/// The firmware alone takes four seconds on an idle machine.
const DEADLINE: Duration = Duration::from_secs(300);
/// Status of QEMU after the application reported success.
const SUCCESS: i32 = 33;
/// What it says at the end of its two parts.
const LINES: [&str; 2] = ["400000 switches verified", "40000 turns taken"];

/// Builds the application and runs it.
pub(crate) fn runs() -> Result<Counts> {
    if let Err(error) = rustup::ensure(None, TARGET) {
        console::loud(format!(
            "SKIPPED: this machine cannot have {TARGET}: {error:#}"
        ));
        return Ok(Counts::SKIPPED);
    }
    let application = build()?;
    let firmware = match firmware() {
        Ok(firmware) => firmware,
        Err(error) => {
            console::loud(format!("SKIPPED: built, but not run: {error:#}"));
            return Ok(Counts::SKIPPED);
        }
    };
    let program = setup::qemu::ensure()?;
    // The firmware starts the application of this name from any disk.
    let disk = tempfile::tempdir()?;
    let folder = disk.path().join("EFI/BOOT");
    fs::create_dir_all(&folder)?;
    fs::copy(application, folder.join("BOOTX64.EFI"))?;
    let run = qemu::run(
        &mut machine(&program, &firmware, disk.path()),
        Some(DEADLINE),
        &|_| (),
    )?;
    let said = String::from_utf8_lossy(&run.serial);
    ensure!(
        run.end == End::Status(SUCCESS) && LINES.iter().all(|line| said.contains(line)),
        "the application ended with {:?} and said:\n{said}{}",
        run.end,
        run.stderr
    );
    Ok(Counts::PASSED)
}

fn build() -> Result<PathBuf> {
    let mut command = Command::new("cargo");
    command
        .current_dir(workspace::root())
        .args([
            "build",
            "--release",
            "--package",
            APPLICATION,
            "--target",
            TARGET,
        ])
        .arg("--message-format=json-render-diagnostics");
    let application = cargo::executable_of(&mut command, APPLICATION)?;
    application.with_context(|| format!("cargo built `{APPLICATION}`, but named no executable"))
}

/// Where the firmware is; installs it first if it is missing and that can be done.
fn firmware() -> Result<PathBuf> {
    let find = || {
        FIRMWARE
            .iter()
            .map(PathBuf::from)
            .find(|file| file.is_file())
    };
    if let Some(file) = find() {
        return Ok(file);
    }
    if !packages::can_install() {
        bail!(
            "the firmware OVMF is missing. Install it with\n{}",
            packages::apt_line(PACKAGES)
        );
    }
    packages::install(PACKAGES)?;
    find().context("the package is installed, but the firmware is in none of its usual places")
}

fn machine(program: &Path, firmware: &Path, disk: &Path) -> Command {
    let mut qemu = Command::new(program);
    qemu.args(["-machine", "q35", "-accel", "tcg", "-m", "128M"]);
    qemu.args(["-nodefaults", "-no-user-config", "-display", "none"]);
    // The firmware writes to the serial port, and the application to this one.
    qemu.args(["-monitor", "none", "-serial", "none", "-debugcon", "stdio"]);
    qemu.arg("-no-reboot");
    let port = protocol::EXIT_PORT;
    qemu.args([
        "-device",
        &format!("isa-debug-exit,iobase={port:#x},iosize=0x04"),
    ]);
    qemu.arg("-bios").arg(firmware);
    // QEMU makes a file system of a folder.
    qemu.args([
        "-drive",
        &format!("format=raw,file=fat:rw:{}", disk.display()),
    ]);
    qemu
}
