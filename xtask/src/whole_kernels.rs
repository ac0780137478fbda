//! The kernels to copy, folders of `kernels`: builds each as its author would, boots it, and judges what it says.

#[cfg(test)]
mod chapter;
mod copy;
mod keys;
pub(crate) mod step;
mod verdict;
mod with_tests;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use cargo_kfiber::machine::qemu;
use clap::ValueEnum as _;

use crate::cli::{Accelerator, Build, Demo, Loaders, WholeKernel};
use crate::setup::core::{self, TARGET};
use crate::setup::loaders;
use crate::{console, setup, workspace};
use keys::Keys;

/// Where the kernels are, below the root of the workspace.
const FOLDER: &str = "kernels";
/// Folder below the target folder in which they are built. They share it, and with it the library.
const TARGET_FOLDER: &str = "whole-kernels";
/// The cores of those that can have several, with the feature `smp`. On a larger machine the others stay stopped.
const MOST_CORES: u32 = 4;

impl WholeKernel {
    /// The name of its folder.
    fn name(self) -> String {
        let value = self.to_possible_value().expect("no kernel is hidden");
        value.get_name().to_owned()
    }

    /// Its folder in the workspace.
    fn folder(self) -> PathBuf {
        workspace::root().join(FOLDER).join(self.name())
    }

    const fn target(self) -> &'static str {
        match self {
            Self::Uefi => "x86_64-unknown-uefi",
            Self::Pvh | Self::Multiboot2 | Self::Limine | Self::Bootloader => TARGET,
        }
    }

    /// Whether it has the feature `smp`, with which it uses several cores.
    const fn has_several_cores(self) -> bool {
        matches!(self, Self::Pvh | Self::Multiboot2 | Self::Limine)
    }

    /// Makes sure that its loader is there, and returns the variables by which `run.sh` finds it.
    fn loader(self, named: &Loaders) -> Result<Vec<(&'static str, PathBuf)>> {
        setup::qemu::ensure()?;
        Ok(match self {
            Self::Pvh => Vec::new(),
            Self::Multiboot2 => {
                loaders::ensure_grub()?;
                Vec::new()
            }
            Self::Limine => vec![
                (loaders::LIMINE, loaders::limine(named.limine.as_deref())?),
                (loaders::OVMF, loaders::ensure_ovmf()?),
            ],
            Self::Uefi => vec![(loaders::OVMF, loaders::ensure_ovmf()?)],
            Self::Bootloader => {
                let firmware = loaders::ensure_ovmf()?;
                // The script builds there too.
                let target = workspace::target_directory()?.join(TARGET_FOLDER);
                loaders::ensure_bootloader(&self.folder().join("image"), &target)?;
                vec![(loaders::OVMF, firmware), ("CARGO_TARGET_DIR", target)]
            }
        })
    }
}

/// One of the kernels, in a folder that may be a copy.
struct Kernel {
    kind: WholeKernel,
    folder: PathBuf,
    build: Build,
    /// How many cores the machine has.
    cores: u32,
    /// The variables by which `run.sh` finds the loader.
    loader: Vec<(&'static str, PathBuf)>,
    /// More words for cargo.
    words: Vec<String>,
}

impl Kernel {
    /// The kernel in the workspace.
    fn in_tree(kind: WholeKernel, cores: u32, build: &Build, named: &Loaders) -> Result<Self> {
        if cores > 1 && !kind.has_several_cores() {
            bail!(
                "the kernel `{}` uses one core: leave --smp out, or take another kernel",
                kind.name()
            );
        }
        Ok(Self {
            kind,
            folder: kind.folder(),
            build: build.clone(),
            cores,
            loader: kind.loader(named)?,
            words: Vec::new(),
        })
    }

    /// A verb of cargo's in its folder.
    fn cargo(&self, verb: &str) -> Result<Command> {
        let target = self.kind.target();
        let source = if target == TARGET {
            core::ensure(self.build.core)?
        } else {
            core::ensure_target(target)?
        };
        let folder = workspace::target_directory()?.join(TARGET_FOLDER);
        let mut command = source.cargo_in(&self.folder, verb, target.as_ref(), &folder);
        command.args(&self.words);
        if self.cores > 1 {
            command.args(["--features", "smp"]);
        }
        if self.build.release {
            command.arg("--release");
        }
        command.envs(
            self.loader
                .iter()
                .map(|(name, path)| (name, path.as_os_str())),
        );
        Ok(command)
    }

    fn build(&self) -> Result<()> {
        let profile = if self.build.release {
            "release"
        } else {
            "debug"
        };
        let what = format!(
            "kernel `{}` ({profile}, {})",
            self.kind.name(),
            if self.cores > 1 {
                "several cores"
            } else {
                "one core"
            }
        );
        console::run(&what, &mut self.cargo("build")?)
    }

    /// Boots the kernel, which was built before, by its own `run.sh`. `words` are more options for QEMU.
    fn run(&self, words: &[String]) -> Result<Command> {
        let mut command = self.cargo("run")?;
        command
            .args(["--quiet", "--", "-smp", &self.cores.to_string()])
            .args(words);
        Ok(command)
    }

    /// Types to the kernel, and judges what it says and how it ends.
    fn play(&self, words: &[String], timeout: u32, echo: &qemu::Listener<'_>) -> Result<()> {
        let deadline = Duration::from_secs(timeout.into());
        // With one core the kernel is built without workers.
        let workers = if self.cores > 1 {
            self.cores.min(MOST_CORES)
        } else {
            0
        };
        let keys = Keys::after_all_of(workers);
        let typist = |line: &str| {
            echo(line);
            keys.after(line)
        };
        let run = qemu::converse(&mut self.run(words)?, deadline, &typist)?;
        let said = String::from_utf8_lossy(&run.serial);
        verdict::of(&said, workers, run.end).with_context(|| {
            let folder = self.folder.display();
            format!("the kernel in {folder} did not do its work\n{}", run.stderr)
        })
    }
}

/// Boots one of the kernels on the terminal; elsewhere keys are typed to it, and it must end well.
pub(crate) fn demo(kind: WholeKernel, options: &Demo) -> Result<bool> {
    let cores = options.machine.smp;
    let kernel = Kernel::in_tree(kind, cores, &options.build, &options.loaders)?;
    kernel.build()?;
    let mut words = Vec::new();
    if options.machine.accel == Accelerator::Kvm {
        words.extend(["-accel", "kvm"].map(str::to_owned));
    }
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        console::say("the serial port is yours: q ends the kernel, Ctrl-A X ends QEMU");
        let status = kernel.run(&words)?.status().context("cannot start cargo")?;
        if !status.success() {
            bail!("the kernel ended with {status}");
        }
        return Ok(true);
    }
    let echo = |line: &str| {
        print!("{line}");
        // Nobody is left to show it to if this fails, and the kernel runs to its end anyway.
        drop(std::io::stdout().flush());
    };
    kernel.play(&words, options.timeout, &echo).map(|()| true)
}
