//! The bare-metal `core` library, which comes in one of two ways.
//!
//! rustup's prebuilt target is the way for everybody; the distribution's toolchain builds `core` from source where
//! rustup cannot fetch the target. What is already there wins, so that the second run asks no network.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::cli::CoreSource;
use crate::setup::{find_program, packages};
use crate::{console, workspace};

/// The target of the kernels.
pub(crate) const TARGET: &str = "x86_64-unknown-none";
/// Debian's current Rust with its library source; it disturbs no other Rust.
pub(crate) const PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src"];

/// A kernel that unwinds at every instruction would take minutes without. It stands here because a package's manifest must not
/// name packages that are not in it.
const OPTIMISED: &str = "profile.dev.package.tests-unwind.opt-level=3";

/// Cargo's variable for the linker of [`TARGET`].
const LINKER: &str = "CARGO_TARGET_X86_64_UNKNOWN_NONE_LINKER";
/// The oldest Rust that compiles this workspace.
const OLDEST_RUST: &str = env!("CARGO_PKG_RUST_VERSION");
const DISTRIBUTION_RUSTC: &str = "/usr/bin/rustc";
const DISTRIBUTION_CARGO: &str = "/usr/bin/cargo";

impl CoreSource {
    /// Both ways, the preferred one first.
    pub(crate) const ALL: [Self; 2] = [Self::Rustup, Self::Distribution];

    /// What a person would call it.
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::Rustup => "rustup's target x86_64-unknown-none",
            Self::Distribution => "the distribution's toolchain with -Zbuild-std",
        }
    }

    /// Its value of `--core`.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Rustup => "rustup",
            Self::Distribution => "distribution",
        }
    }

    /// What its compiler says of itself.
    pub(crate) fn version(self) -> Result<String> {
        let compiler = match self {
            Self::Rustup => "rustc",
            Self::Distribution => DISTRIBUTION_RUSTC,
        };
        ask(compiler, &["--version"])
            .with_context(|| format!("`{compiler} --version` did not answer"))
    }

    /// What the distribution's compiler says of [`TARGET`], as JSON.
    pub(crate) fn description_of_target() -> Result<String> {
        let mut command = Command::new(DISTRIBUTION_RUSTC);
        command
            .args(["-Zunstable-options", "--print", "target-spec-json"])
            .args(["--target", TARGET])
            .env("RUSTC_BOOTSTRAP", "1")
            .env_remove("LD_LIBRARY_PATH");
        let output = command.output().context(DISTRIBUTION_RUSTC)?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The command that installs it.
    pub(crate) fn advice(self) -> String {
        match self {
            Self::Rustup => format!("rustup target add {TARGET}"),
            Self::Distribution => packages::apt_line(PACKAGES),
        }
    }

    /// Whether kernels can be built this way now.
    pub(crate) fn is_present(self) -> bool {
        match self {
            Self::Rustup => ask("rustc", &["--print", "target-libdir", "--target", TARGET])
                .is_some_and(|folder| has_core(Path::new(&folder))),
            Self::Distribution => {
                Path::new(DISTRIBUTION_CARGO).is_file()
                    && ask(DISTRIBUTION_RUSTC, &["--version"])
                        .is_some_and(|version| is_new_enough(&version))
                    && ask(DISTRIBUTION_RUSTC, &["--print", "sysroot"])
                        .is_some_and(|sysroot| has_source(Path::new(&sysroot)))
            }
        }
    }

    /// Fetches what this way needs.
    pub(crate) fn install(self) -> Result<()> {
        match self {
            Self::Rustup => {
                if find_program("rustup").is_none() {
                    bail!("rustup is not installed here");
                }
                let mut command = Command::new("rustup");
                command
                    .args(["target", "add", TARGET])
                    .current_dir(workspace::root());
                console::run(
                    &format!("fetching core for the bare machine ({})", self.advice()),
                    &mut command,
                )?;
            }
            Self::Distribution if packages::can_install() => packages::install(PACKAGES)?,
            Self::Distribution => bail!(
                "the packages {} cannot be installed from here",
                PACKAGES.join(", ")
            ),
        }
        if !self.is_present() {
            bail!(
                "{} is still not usable after `{}`: is it older than Rust {}?",
                self.describe(),
                self.advice(),
                OLDEST_RUST
            );
        }
        Ok(())
    }

    /// A cargo command for the bare machine, which says what it builds as JSON if asked by its caller.
    pub(crate) fn cargo(self, verb: &str, target_directory: &Path) -> Command {
        let mut command = self.cargo_for(TARGET.as_ref(), verb, target_directory);
        command.args(["--config", OPTIMISED]);
        command
    }

    /// As [`cargo`](Self::cargo), for any target, which may be a file that describes one.
    ///
    /// Each way has a folder of its own below the target folder: the artefacts of two compilers never meet.
    pub(crate) fn cargo_for(self, target: &Path, verb: &str, target_directory: &Path) -> Command {
        self.cargo_in(workspace::root(), verb, target, target_directory)
    }

    /// As [`cargo_for`](Self::cargo_for), for a package that is not of this workspace.
    ///
    /// Each way has a folder of its own below the target folder: the artefacts of two compilers never meet.
    pub(crate) fn cargo_in(
        self,
        package: &Path,
        verb: &str,
        target: &Path,
        target_directory: &Path,
    ) -> Command {
        let mut command = match self {
            Self::Rustup => Command::new("cargo"),
            Self::Distribution => {
                let mut command = Command::new(DISTRIBUTION_CARGO);
                command
                    .env("RUSTC", DISTRIBUTION_RUSTC)
                    .env("RUSTC_BOOTSTRAP", "1");
                // The target asks for rustup's linker, which the distribution does not have; GNU's does as well.
                if std::env::var_os(LINKER).is_none() {
                    command.env(LINKER, "ld");
                }
                // The outer cargo points it at the libraries of another compiler.
                command.env_remove("LD_LIBRARY_PATH");
                command
            }
        };
        command
            .current_dir(package)
            .args([verb, "--target"])
            .arg(target);
        if self == Self::Distribution {
            command.arg("-Zbuild-std=core");
        }
        command
            .arg("--target-dir")
            .arg(self.target_directory(target_directory));
        command
    }

    fn target_directory(self, target_directory: &Path) -> PathBuf {
        target_directory.join(match self {
            Self::Rustup => "kernels",
            Self::Distribution => "kernels-distribution",
        })
    }
}

/// Makes sure that rustup's `core` for another target is there, since the distribution has no linker for it.
pub(crate) fn ensure_target(target: &str) -> Result<CoreSource> {
    let is_present = || {
        ask("rustc", &["--print", "target-libdir", "--target", target])
            .is_some_and(|folder| has_core(Path::new(&folder)))
    };
    if !is_present() {
        let advice = format!("rustup target add {target}");
        let mut command = Command::new("rustup");
        command
            .args(["target", "add", target])
            .current_dir(workspace::root());
        console::run(&format!("fetching core ({advice})"), &mut command)?;
        if !is_present() {
            bail!("{target} is still not usable after `{advice}`");
        }
    }
    Ok(CoreSource::Rustup)
}

/// The way to use: the one asked for, else one that is there, else one that can be installed.
pub(crate) fn ensure(wanted: Option<CoreSource>) -> Result<CoreSource> {
    if let Some(source) = wanted {
        if !source.is_present() {
            source
                .install()
                .with_context(|| format!("cannot have {}", source.describe()))?;
        }
        return Ok(source);
    }
    if let Some(source) = CoreSource::ALL
        .into_iter()
        .find(|source| source.is_present())
    {
        return Ok(source);
    }
    for source in CoreSource::ALL {
        match source.install() {
            Ok(()) => return Ok(source),
            Err(error) => console::loud(format!("{}: {error:#}", source.describe())),
        }
    }
    bail!(
        "the bare-metal core library is missing. Install it with either of\n  {}\n  {}",
        CoreSource::Rustup.advice(),
        CoreSource::Distribution.advice()
    )
}

pub(crate) fn has_core(folder: &Path) -> bool {
    folder.read_dir().is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
    })
}

/// Whether `rustc 1.96.0 (…)` is at least [`OLDEST_RUST`].
fn is_new_enough(version: &str) -> bool {
    let numbers = |text: &str| {
        let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0_u32));
        (parts.next(), parts.next())
    };
    let found = version.split_whitespace().nth(1).unwrap_or("");
    numbers(found) >= numbers(OLDEST_RUST)
}

fn has_source(sysroot: &Path) -> bool {
    sysroot
        .join("lib/rustlib/src/rust/library/core/src/lib.rs")
        .is_file()
}

/// First line of what a program prints, if it succeeds.
fn ask(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(words)
        .current_dir(workspace::root())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_older_than_the_workspace_is_not_used() {
        assert!(!is_new_enough("rustc 1.85.0 (4d91de4e4 2025-02-17)"));
        assert!(is_new_enough(
            "rustc 1.96.0 (0a1b2c3d4 2026-05-28) (built from a source tarball)"
        ));
        assert!(is_new_enough(&format!("rustc {OLDEST_RUST}.0")));
        assert!(!is_new_enough("no compiler at all"));
    }
}
