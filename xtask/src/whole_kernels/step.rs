//! The step `kernels`: all whole kernels whose loader this machine can have, in the tree and as copies outside of it.

use std::fs;

use anyhow::{Context as _, Result};
use clap::ValueEnum as _;

use super::{Kernel, MOST_CORES, WholeKernel, copy, with_tests};
use crate::cli::{Build, Ci};
use crate::console;
use crate::steps::Counts;

/// Files that are the same in all kernels. Each is a file of its own in each kernel, so that one folder is all of it.
const SAME: [&str; 3] = ["src/kernel.rs", "src/machine.rs", "src/cores.rs"];
/// The same for those that may have several cores.
const SAME_WITH_SEVERAL_CORES: &str = "src/several_cores.rs";
/// The kernels whose copies get tests: QEMU starts one of them, and its own program the other.
const WITH_TESTS: [WholeKernel; 2] = [WholeKernel::Pvh, WholeKernel::Multiboot2];
/// A slow machine under load boots firmware for half a minute.
const TIMEOUT_S: u32 = 180;

/// Runs the step.
pub(crate) fn step(ci: &Ci) -> Result<Counts> {
    let mut counts = same_files()?;
    let folder = tempfile::TempDir::new()?;
    let package = copy::package(folder.path())?;
    for kind in WholeKernel::value_variants() {
        let name = kind.name();
        let kernel = match Kernel::in_tree(*kind, 1, &ci.build, &ci.loaders) {
            Ok(kernel) => kernel,
            Err(error) => {
                console::loud(format!("SKIPPED: kernel `{name}`: {error:#}"));
                counts = counts.plus(Counts::SKIPPED);
                continue;
            }
        };
        counts = counts.plus(lints(&kernel)).plus(tested(&kernel));
        let mut last = kernel;
        if kind.has_several_cores() {
            last = Kernel::in_tree(*kind, MOST_CORES, &ci.build, &ci.loaders)?;
            counts = counts.plus(lints(&last)).plus(tested(&last));
        }
        let to = folder.path().join(&name);
        fs::create_dir(&to)?;
        let mut copy = copy::copy(&last, &package, &to)?;
        // The other kind of build, so that both are tested.
        copy.build = Build {
            release: !ci.build.release,
            ..ci.build.clone()
        };
        counts = counts.plus(tested(&copy));
        if WITH_TESTS.contains(kind) {
            // A virtual machine for each test, with one core.
            copy.cores = 1;
            counts = counts.plus(counted_by(with_tests::step(&copy)));
        }
    }
    Ok(counts)
}

/// Builds and boots one kernel.
fn tested(kernel: &Kernel) -> Counts {
    let result = kernel
        .build()
        .and_then(|()| kernel.play(&[], TIMEOUT_S, &|_| ()));
    counted(result)
}

/// Formatting and lints, which the workspace's own steps do not see.
fn lints(kernel: &Kernel) -> Counts {
    let formatted = || {
        for folder in [kernel.folder.clone(), kernel.folder.join("image")] {
            if folder.is_dir() {
                let mut fmt = std::process::Command::new("cargo");
                fmt.current_dir(&folder).args(["fmt", "--check"]);
                console::run("formatting", &mut fmt)?;
            }
        }
        Ok(())
    };
    let linted = || {
        let mut clippy = kernel.cargo("clippy")?;
        clippy.args(["--", "-D", "warnings"]);
        console::run("lints", &mut clippy)
    };
    counted(formatted()).plus(counted(linted()))
}

fn counted_by(result: Result<Counts>) -> Counts {
    result.unwrap_or_else(|error| {
        console::error(&error);
        Counts::FAILED
    })
}

fn counted(result: Result<()>) -> Counts {
    if let Err(error) = &result {
        console::error(error);
    }
    Counts::from_success(result.is_ok())
}

/// Compares the files that are the same in several kernels.
fn same_files() -> Result<Counts> {
    let all = WholeKernel::value_variants();
    let mut counts = Counts::default();
    for file in SAME {
        counts = counts.plus(is_same(file, all)?);
    }
    let with_several: Vec<_> = all
        .iter()
        .copied()
        .filter(|kind| kind.has_several_cores())
        .collect();
    Ok(counts.plus(is_same(SAME_WITH_SEVERAL_CORES, &with_several)?))
}

fn is_same(file: &str, kinds: &[WholeKernel]) -> Result<Counts> {
    let mut counts = Counts::default();
    let [first, others @ ..] = kinds else {
        return Ok(counts);
    };
    let read = |kind: &WholeKernel| {
        let file = kind.folder().join(file);
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
    };
    let text = read(first)?;
    for other in others {
        let is_same = read(other)? == text;
        if !is_same {
            console::loud(format!(
                "{file} differs between the kernels `{}` and `{}`: copy the one that is right over the other",
                first.name(),
                other.name()
            ));
        }
        counts = counts.plus(Counts::from_success(is_same));
    }
    Ok(counts)
}
