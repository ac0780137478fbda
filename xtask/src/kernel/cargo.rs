//! Builds kernels and takes their paths from cargo's own messages, never from a guess.

use std::env;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::Message;

use crate::cli::{Build, CoreSource};
use crate::{console, setup, workspace};

/// Binaries of the crate `tests-qemu` that need a feature, and which.
const WITH_A_FEATURE: [(&str, &str); 2] = [("smp", "smp"), ("traced", "trace")];

/// What the compiler is to make of a kernel whose instructions, or bytes, are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counted {
    ForSpeed,
    ForSize,
}

/// Builds one kernel, a binary of the crate `tests-qemu` or the kernel `adapters`, and returns the path of its ELF file.
pub(crate) fn build_kernel(name: &str, build: &Build) -> Result<PathBuf> {
    let feature = WITH_A_FEATURE.iter().find(|(kernel, _)| *kernel == name);
    match feature {
        Some((_, feature)) => build_in("", name, build, &[], &["--features", feature]),
        None => build_in("", name, build, &[], &[]),
    }
}

/// As [`build_kernel`], with the feature `smp`, also for a kernel that needs one core only.
pub(crate) fn build_kernel_with_smp(name: &str, build: &Build) -> Result<PathBuf> {
    // In a folder of its own, because cargo gives both builds one name.
    let features = match name {
        "traced" => "smp,trace",
        _ => "smp",
    };
    build_in("smp", name, build, &[], &["--features", features])
}

/// As [`build_kernel`], with the feature `trace`, and for several cores if asked.
pub(crate) fn build_kernel_with_trace(
    name: &str,
    build: &Build,
    several_cores: bool,
) -> Result<PathBuf> {
    let features = if several_cores { "smp,trace" } else { "trace" };
    build_in("trace", name, build, &[], &["--features", features])
}

/// Builds a kernel that is measured, as well as the compiler can, whatever the profile of the workspace says.
pub(crate) fn build_counted_kernel(
    name: &str,
    counted: Counted,
    core: Option<CoreSource>,
) -> Result<PathBuf> {
    build_counted(name, counted, core, &[])
}

/// As [`build_counted_kernel`], without the checks at each switch.
pub(crate) fn build_unchecked_kernel(
    name: &str,
    counted: Counted,
    core: Option<CoreSource>,
) -> Result<PathBuf> {
    build_counted(name, counted, core, &["--no-default-features"])
}

/// As [`build_counted_kernel`], with features.
pub(crate) fn build_counted_kernel_with(
    features: &str,
    name: &str,
    counted: Counted,
    core: Option<CoreSource>,
) -> Result<PathBuf> {
    build_counted(name, counted, core, &["--features", features])
}

fn build_counted(
    name: &str,
    counted: Counted,
    core: Option<CoreSource>,
    words: &[&str],
) -> Result<PathBuf> {
    let build = Build {
        release: true,
        core,
    };
    let level = match counted {
        Counted::ForSpeed => "3",
        Counted::ForSize => "z",
    };
    let settings = [
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", level),
        ("CARGO_PROFILE_RELEASE_LTO", "fat"),
        ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ];
    build_in("", name, &build, &settings, words)
}

/// Builds those tests of the suite that switch, in a folder below the target folder, with settings of the profile, which
/// cargo takes from its environment.
pub(crate) fn build_switches(
    folder: &str,
    build: &Build,
    settings: &[(&str, &str)],
) -> Result<PathBuf> {
    build_in(
        folder,
        "suite",
        build,
        settings,
        &["--features", "switches-only"],
    )
}

/// As [`build_kernel`], but each function keeps a frame pointer, and the code can ask whether that is so. Of the suite it
/// has the tests that switch, and those of backtraces.
pub(crate) fn build_kernel_with_frame_pointers(name: &str, build: &Build) -> Result<PathBuf> {
    let mut flags = vec!["-Cforce-frame-pointers=yes", "--cfg=kfiber_frame_pointers"];
    let (encoded, plain) = (env::var("CARGO_ENCODED_RUSTFLAGS"), env::var("RUSTFLAGS"));
    match (&encoded, &plain) {
        (Ok(encoded), _) => flags.extend(encoded.split('\x1f').filter(|flag| !flag.is_empty())),
        (_, Ok(plain)) => flags.extend(plain.split_whitespace()),
        _ => {}
    }
    let flags = flags.join("\x1f");
    // In a folder of its own: other flags would have everything built anew, here and the next time there.
    let settings = [("CARGO_ENCODED_RUSTFLAGS", &*flags)];
    let words = ["--features", "switches-only"];
    build_in("frame-pointers", name, build, &settings, &words)
}

/// The package of a kernel. That of the adapters is apart, with the field's other crates that only it needs.
fn package_of(kernel: &str) -> &'static str {
    match kernel {
        "adapters" => "tests-adapters",
        _ => "tests-qemu",
    }
}

/// Builds in a folder below the target folder.
fn build_in(
    folder: &str,
    name: &str,
    build: &Build,
    settings: &[(&str, &str)],
    words: &[&str],
) -> Result<PathBuf> {
    let source = setup::core::ensure(build.core)?;
    let profile = if build.release { "release" } else { "debug" };
    console::say(format!(
        "kernel `{name}` ({profile}), core from {}",
        source.describe()
    ));
    let mut command = source.cargo("build", &workspace::target_directory()?.join(folder));
    command.envs(settings.iter().copied());
    command.args(["--package", package_of(name), "--bin", name]);
    command.args(words);
    command.arg("--message-format=json-render-diagnostics");
    if build.release {
        command.arg("--release");
    }
    let executable = executable_of(&mut command, name)?;
    executable.with_context(|| format!("cargo built `{name}`, but named no executable"))
}

/// Builds one binary of the crate `tests-qemu` for the host, where it can be looked at, and returns its path.
pub(crate) fn build_for_host(name: &str, release: bool) -> Result<PathBuf> {
    let profile = if release { "release" } else { "debug" };
    console::say(format!("program `{name}` for this machine ({profile})"));
    let mut command = Command::new("cargo");
    command
        .current_dir(workspace::root())
        .args(["build", "--package", "tests-qemu", "--bin", name])
        .arg("--message-format=json-render-diagnostics");
    if release {
        command.arg("--release");
    }
    let executable = executable_of(&mut command, name)?;
    executable.with_context(|| format!("cargo built `{name}`, but named no executable"))
}

/// Runs a command of cargo's and returns the path of the binary of this name that it built.
pub(crate) fn executable_of(command: &mut Command, name: &str) -> Result<Option<PathBuf>> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", console::line(command)))?;
    let messages = child.stdout.take().expect("stdout is piped");
    let mut executable = None;
    for message in Message::parse_stream(BufReader::new(messages)) {
        if let Message::CompilerArtifact(artifact) = message.context("cargo's messages")? {
            let is_kernel = artifact.target.is_bin() && artifact.target.name == name;
            if let Some(path) = artifact.executable.filter(|_| is_kernel) {
                executable = Some(path.into_std_path_buf());
            }
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!(
            "building the kernel `{name}` failed; the command was\n  {}",
            console::line(command)
        );
    }
    Ok(executable)
}
