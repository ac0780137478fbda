//! The verb `ci`: what the continuous integration runs, in the same order on every machine.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cli::{Build, Ci, CoreSource, Matrix};
use crate::host_tests::miri;
use crate::setup::{self, core::TARGET};
use crate::steps::{self, Counts, Step};
use crate::{bench, console, host_tests, matrix, stacks, test, tidy, workspace};

/// Lints and rustdoc's warnings are errors here, by these words rather than by RUSTFLAGS, which would rebuild the world.
const DENY_WARNINGS: [&str; 3] = ["--", "-D", "warnings"];

const STEPS: &[Step<Build>] = &[
    Step {
        name: "fmt",
        help: "the formatting is rustfmt's",
        run: |_| succeeds(cargo(&["fmt", "--all", "--check"])),
    },
    Step {
        name: "clippy",
        help: "no lint complains, on the host",
        run: |_| {
            let words = [
                "clippy",
                "--workspace",
                "--exclude",
                "peers",
                "--all-targets",
            ];
            succeeds(cargo(&words).args(DENY_WARNINGS))
        },
    },
    Step {
        name: "clippy-bare",
        help: "no lint complains, for the bare machine",
        run: |build| {
            let packages = ["--package", "kfiber", "--package", "tests-qemu"];
            bare("clippy", build, |command| {
                command.args(packages).args(DENY_WARNINGS)
            })
        },
    },
    Step {
        name: "doc",
        help: "the documentation builds without a warning, on the host",
        run: |_| {
            let words = [
                "doc",
                "--no-deps",
                "--document-private-items",
                "--package",
                "kfiber",
            ];
            succeeds(cargo(&words).env("RUSTDOCFLAGS", "-Dwarnings"))
        },
    },
    Step {
        name: "doc-bare",
        help: "the documentation builds without a warning, for the bare machine",
        run: |build| {
            bare("doc", build, |command| {
                let words = [
                    "--no-deps",
                    "--package",
                    "kfiber",
                    "--package",
                    "tests-qemu",
                    "--lib",
                ];
                command.args(words).env("RUSTDOCFLAGS", "-Dwarnings")
            })
        },
    },
    Step {
        name: "tidy",
        help: "the rules of the house that no lint knows",
        run: |_| tidy::verb().map(Counts::from_success),
    },
    Step {
        name: "test",
        help: "everything that `cargo xtask test` runs",
        run: test::all,
    },
    Step {
        name: "no-features",
        help: "the library's tests without the floating-point control words",
        run: |build| host_tests::run(&["--package", "kfiber", "--no-default-features"], build),
    },
    Step {
        name: "threads",
        help: "the library's tests with threads for fibers, as under Miri",
        run: |_| miri::threads(),
    },
    Step {
        name: "miri",
        help: "the library's tests under Miri, stacked borrows",
        run: |_| miri::stacked_borrows(),
    },
    Step {
        name: "miri-tree",
        help: "the library's tests under Miri, tree borrows",
        run: |_| miri::tree_borrows(),
    },
    Step {
        name: "bench",
        help: "no operation takes another number of instructions than the committed table says",
        run: |build| bench::counts(build.core),
    },
    Step {
        name: "peers",
        help: "what kfiber is measured beside: no lint complains, and every contender is right in every shape",
        run: |build| {
            let words = ["clippy", "--profile", "peers", "--package", "peers"];
            let lints = succeeds(cargo(&words).args(DENY_WARNINGS))?;
            let tests = host_tests::run(&["--package", "peers", "--profile", "peers"], build)?;
            Ok(lints.plus(tests).plus(bench::peers::verify()?))
        },
    },
    Step {
        name: "stacks",
        help: "no fiber of the demo uses more stack than the committed table says",
        run: |build| stacks::step(build.core),
    },
    Step {
        name: "matrix",
        help: "the switch in all kinds of builds, a hundred million times in each main one",
        run: |build| {
            matrix::verb(&Matrix {
                rounds: 100_000_000,
                even: false,
                seed: None,
                core: build.core,
            })
            .map(Counts::from_success)
        },
    },
    Step {
        name: "soak",
        help: "long runs: ten million fibers made and ended, a hundred million switches of fibers that do everything",
        run: soak,
    },
    Step {
        name: "other-core",
        help: "the tests in QEMU with `core` had the other way, so that neither way rots",
        run: other_core,
    },
];

/// Tests that are short by default, and how many rounds of each are a long run.
const LONG_RUNS: [(&str, &str); 3] = [
    (
        "soak::fibers_are_made_and_end_in_two_poisoned_cells",
        "10000000",
    ),
    (
        "soak::mixed::sixty_four_fibers_that_do_everything_lose_nothing",
        "100000000",
    ),
    (
        "scheduler::small::the_smallest_stack_bears_every_wait_and_an_interrupt_at_its_deepest",
        "300000",
    ),
];

/// The steps, for `--help`.
pub(crate) fn help() -> String {
    steps::help(STEPS)
}

/// Runs the verb; true if nothing failed.
pub(crate) fn verb(options: &Ci) -> Result<bool> {
    let counts = steps::run(STEPS, &options.steps, &options.build)?;
    println!("{}", counts.line());
    Ok(counts.failed == 0)
}

fn cargo(words: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(words).current_dir(workspace::root());
    command
}

fn succeeds(command: impl std::borrow::BorrowMut<Command>) -> Result<Counts> {
    let mut command = command;
    let command = command.borrow_mut();
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", console::line(command)))?;
    Ok(Counts::from_success(status.success()))
}

/// A cargo verb for the bare machine, which needs rustup's `core`: the distribution's toolchain has no clippy.
fn bare(verb: &str, build: &Build, add: impl Fn(&mut Command) -> &mut Command) -> Result<Counts> {
    if build.core == Some(CoreSource::Distribution)
        || setup::core::ensure(Some(CoreSource::Rustup)).is_err()
    {
        console::loud(format!(
            "SKIPPED: `cargo {verb} --target {TARGET}` needs {}",
            CoreSource::Rustup.describe()
        ));
        return Ok(Counts::SKIPPED);
    }
    let mut command = CoreSource::Rustup.cargo(verb, &workspace::target_directory()?);
    succeeds(add(&mut command))
}

fn soak(build: &Build) -> Result<Counts> {
    let build = Build {
        release: true,
        ..build.clone()
    };
    let mut counts = Counts::default();
    for (name, rounds) in LONG_RUNS {
        let words = ["--exact", name, "--rounds", rounds];
        let run = test::in_qemu_with(&words, &build)?;
        anyhow::ensure!(run.passed + run.failed == 1, "no test is called {name}");
        counts = counts.plus(run);
    }
    Ok(counts)
}

fn other_core(build: &Build) -> Result<Counts> {
    let used = setup::core::ensure(build.core)?;
    let [rustup, distribution] = CoreSource::ALL;
    let other = if used == rustup { distribution } else { rustup };
    if let Err(error) = setup::core::ensure(Some(other)) {
        console::loud(format!(
            "SKIPPED: this machine cannot have {}: {error:#}",
            other.describe()
        ));
        return Ok(Counts::SKIPPED);
    }
    test::in_qemu(&Build {
        core: Some(other),
        ..build.clone()
    })
}
