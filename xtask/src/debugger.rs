//! The commands for gdb that a program with kfiber carries: sessions in which they are given, and what gdb must answer.
//!
//! ```text
//!   kernel ──► QEMU ──► gdb ◄── session.gdb        the answers, without what differs between two runs,
//!   program ─────────► gdb ◄── session.gdb         are compared with a committed file
//! ```

mod answers;
pub(crate) mod bridge;
mod dap;
pub(crate) mod live;
mod mi;
mod session;

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::cli::Build;
use crate::kernel::cargo;
use crate::steps::Counts;
use crate::{console, setup, workspace};

/// The binary of the crate `tests-qemu`.
const KERNEL: &str = "debugged";

/// All sessions, in both profiles. `KFIBER_UPDATE=1` writes the committed files instead.
pub(crate) fn check(build: &Build) -> Result<Counts> {
    if setup::find_program("gdb").is_none() {
        console::loud(format!(
            "SKIPPED: gdb is missing, so the commands for it are not tried. Install it with\n  {}",
            setup::packages::apt_line(&["gdb"])
        ));
        return Ok(Counts::SKIPPED);
    }
    let mut counts = Counts::default();
    for release in [false, true] {
        let build = Build {
            release,
            ..build.clone()
        };
        let profile = if release { "release" } else { "debug" };
        let kernel = cargo::build_kernel(KERNEL, &build)?;
        let folder = tempfile::tempdir()?;
        let core = folder.path().join("core");
        let live = session::of_kernel(&kernel, &core)?;
        counts = counts.plus(compare(&format!("kernel-{profile}"), &live)?);
        let dead = session::of_core_dump(&kernel, &core)?;
        counts = counts.plus(compare(&format!("core-dump-{profile}"), &dead)?);
        let program = cargo::build_for_host(KERNEL, release)?;
        let hosted = session::of_program(&program)?;
        counts = counts.plus(compare(&format!("host-{profile}"), &hosted)?);
        let bridged = bridge::gdb(&kernel, 1)?;
        counts = counts.plus(compare(&format!("bridge-{profile}"), &bridged)?);
        let edited = bridge::editor(&kernel)?;
        counts = counts.plus(compare(&format!("editor-{profile}"), &edited)?);
        counts = counts.plus(check_four_cores(&build, profile)?);
    }
    Ok(counts)
}

/// The sessions with four cores.
fn check_four_cores(build: &Build, profile: &str) -> Result<Counts> {
    let kernel = cargo::build_kernel_with_smp(KERNEL, build)?;
    let live = session::of_four_cores(&kernel)?;
    let mut counts = compare(&format!("four-cores-{profile}"), &live)?;
    let bridged = bridge::gdb(&kernel, 4)?;
    counts = counts.plus(compare(&format!("bridge-four-cores-{profile}"), &bridged)?);
    // LLDB 14 has answered on one day, and waited for ever on another, for a reason that is not known yet.
    if std::env::var_os("KFIBER_LLDB").is_none() {
        console::say("SKIPPED: LLDB with the bridge, which is tried only if KFIBER_LLDB is set");
        return Ok(counts.plus(Counts::SKIPPED));
    }
    let Some(adapter) = lldb_adapter() else {
        console::loud(format!(
            "SKIPPED: LLDB is missing, so it is not tried with the bridge. Install it with\n  {}",
            setup::packages::apt_line(&["lldb"])
        ));
        return Ok(counts.plus(Counts::SKIPPED));
    };
    let lldb = bridge::lldb(&adapter, &kernel)?;
    Ok(counts.plus(compare(&format!("lldb-{profile}"), &lldb)?))
}

/// The program that VS Code starts for LLDB, under any of the names that it had.
fn lldb_adapter() -> Option<PathBuf> {
    let names = ["lldb-dap", "lldb-vscode", "lldb-vscode-14"];
    names.into_iter().find_map(setup::find_program)
}

/// Compares what gdb answered with what is committed.
fn compare(name: &str, output: &str) -> Result<Counts> {
    let answers = answers::without_what_differs(output);
    let path = workspace::root().join(format!("xtask/src/debugger/answers/{name}.txt"));
    if std::env::var_os("KFIBER_UPDATE").is_some() {
        fs::write(&path, &answers)?;
        console::say(format!("wrote {}", path.display()));
        return Ok(Counts::PASSED);
    }
    let Ok(expected) = fs::read_to_string(&path) else {
        bail!(
            "{} is missing: KFIBER_UPDATE=1 cargo xtask test debugger",
            path.display()
        );
    };
    if expected == answers {
        return Ok(Counts::PASSED);
    }
    console::loud(format!(
        "gdb answers otherwise than {} says",
        path.display()
    ));
    for line in answers::difference(&expected, &answers) {
        println!("  {line}");
    }
    println!("if that is meant: KFIBER_UPDATE=1 cargo xtask test debugger");
    Ok(Counts::FAILED)
}
