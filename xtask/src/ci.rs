//! The verb `ci`: what the continuous integration runs, in the same order on every machine.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cli::{Build, Ci, CoreSource, Matrix, Test};
use crate::compile_time::WITHOUT_X86_64;
use crate::host_tests::miri;
use crate::seeds::Seeds;
use crate::setup::{self, core::TARGET};
use crate::steps::{self, Counts, Step};
use crate::targets::{custom, oldest, uefi};
use crate::{
    bench, console, host_tests, links, matrix, stacks, test, tidy, whole_kernels, workspace,
};

/// Lints and rustdoc's warnings are errors here, by these words rather than by RUSTFLAGS, which would rebuild the world.
const DENY_WARNINGS: [&str; 3] = ["--", "-D", "warnings"];

const STEPS: &[Step<Ci>] = &[
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
        run: |ci| {
            let packages = ["kfiber", "tests-qemu", "tests-adapters"];
            let packages = packages.into_iter().flat_map(|name| ["--package", name]);
            let adapters = workspace::adapters_as_words()?;
            // The kernel for several cores is built only with its feature, and the others without it.
            let several_cores = ["--features", "tests-qemu/smp"];
            let traced = ["--features", "tests-qemu/trace"];
            let both = ["--features", "tests-qemu/smp,tests-qemu/trace"];
            let mut counts = Counts::default();
            for features in [&[][..], &several_cores, &traced, &both] {
                let run = bare("clippy", &ci.build, |command| {
                    let command = command.args(packages.clone()).args(&adapters);
                    command.args(features).args(DENY_WARNINGS)
                })?;
                counts = counts.plus(run);
            }
            let run = bare("clippy", &ci.build, |command| {
                let command = command.args(["--package", "kfiber"]);
                command.args(WITHOUT_X86_64).args(DENY_WARNINGS)
            })?;
            Ok(counts.plus(run))
        },
    },
    Step {
        name: "clippy-cores",
        help: "no lint complains with the features for several cores and for the flight recorder, on the host",
        run: |_| {
            let mut counts = Counts::default();
            for features in ["smp", "trace", "smp,trace"] {
                let words = ["clippy", "--package", "kfiber", "--features", features];
                let mut command = cargo(&words);
                counts = counts.plus(succeeds(command.arg("--all-targets").args(DENY_WARNINGS))?);
            }
            Ok(counts)
        },
    },
    Step {
        name: "clippy-cores-bare",
        help: "the same for the bare machine",
        run: |ci| {
            let words = ["--package", "kfiber", "--features", "smp"];
            bare("clippy", &ci.build, |command| {
                command.args(words).args(DENY_WARNINGS)
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
            let mut command = cargo(&words);
            command.args(workspace::adapters_as_words()?);
            succeeds(command.env("RUSTDOCFLAGS", "-Dwarnings"))
        },
    },
    Step {
        name: "doc-bare",
        help: "the documentation builds without a warning, for the bare machine",
        run: |ci| {
            let adapters = workspace::adapters_as_words()?;
            bare("doc", &ci.build, |command| {
                let words = [
                    "--no-deps",
                    "--package",
                    "kfiber",
                    "--package",
                    "tests-qemu",
                    "--lib",
                ];
                command.args(words).args(&adapters);
                command.env("RUSTDOCFLAGS", "-Dwarnings")
            })
        },
    },
    Step {
        name: "links",
        help: "no dead link in the documentation of either target and in the packages, which are made without a warning",
        run: |ci| links::step(&ci.build),
    },
    Step {
        name: "tidy",
        help: "the rules of the house that no lint knows",
        run: |_| tidy::verb().map(Counts::from_success),
    },
    Step {
        name: "test",
        help: "everything that `cargo xtask test` runs",
        run: |ci| {
            test::all(&Test {
                steps: Vec::new(),
                random: ci.long,
                build: ci.build.clone(),
            })
        },
    },
    Step {
        name: "no-features",
        help: "the library's tests without its features: no floating-point control words, no checks at each switch",
        run: without_features,
    },
    Step {
        name: "threads",
        help: "the library's tests with threads for fibers, as under Miri",
        run: |ci| miri::threads(ci.seeds()),
    },
    Step {
        name: "miri",
        help: "the library's tests under Miri, stacked borrows",
        run: |_| miri::stacked_borrows(),
    },
    Step {
        name: "miri-tree",
        help: "the library's tests under Miri, tree borrows; all of them with --long",
        run: |ci| miri::tree_borrows(ci.long),
    },
    Step {
        name: "bench",
        help: "no operation takes another number of instructions than the committed table says",
        run: |ci| bench::counts(ci.build.core),
    },
    Step {
        name: "peers",
        help: "the program that times kfiber: no lint complains, and every contender is right in every shape",
        run: |ci| {
            let words = ["clippy", "--profile", "peers", "--package", "peers"];
            let lints = succeeds(cargo(&words).args(DENY_WARNINGS))?;
            let words = ["--package", "peers", "--profile", "peers"];
            let tests = host_tests::run(&words, &ci.build, ci.seeds())?;
            Ok(lints.plus(tests).plus(bench::peers::verify()?))
        },
    },
    Step {
        name: "stacks",
        help: "no fiber of the demo uses more stack than the committed table says",
        run: |ci| stacks::step(ci.build.core),
    },
    Step {
        name: "matrix",
        help: "the switch in all kinds of builds, a million times in each main one; a hundred million times with --long",
        run: |ci| {
            matrix::verb(&Matrix {
                rounds: if ci.long { 100_000_000 } else { 1_000_000 },
                even: false,
                seed: Some(ci.seeds().in_qemu()),
                core: ci.build.core,
            })
            .map(Counts::from_success)
        },
    },
    Step {
        name: "oldest",
        help: "the library builds with the oldest Rust that it promises, on the host and for the bare machine",
        run: |_| oldest::builds(),
    },
    Step {
        name: "custom-target",
        help: "the library builds for a target whose operating system nobody knows",
        run: |_| custom::builds(),
    },
    Step {
        name: "uefi",
        help: "four hundred thousand switches in a UEFI application, with all registers checked",
        run: |_| uefi::runs(),
    },
    Step {
        name: "kernels",
        help: "each whole kernel whose loader this machine can have builds, boots and does its work, in the tree and copied",
        run: whole_kernels::step::step,
    },
    Step {
        name: "soak",
        help: "a million fibers made and ended, ten million switches of fibers that do everything, a million messages between cores; ten times that with --long",
        run: soak,
    },
    Step {
        name: "other-core",
        help: "the tests in QEMU of booting, failing and switching, with the other source of `core`; all tests with --long",
        run: other_core,
    },
];

/// Tests whose runs are longer here than in the step `qemu`, how many rounds that is, and how many with `--long`.
const SOAKS: [(&str, &str, &str); 7] = [
    (
        "soak::fibers_are_made_and_end_in_two_poisoned_cells",
        "1000000",
        "10000000",
    ),
    (
        "soak::mixed::sixty_four_fibers_that_do_everything_lose_nothing",
        "10000000",
        "100000000",
    ),
    (
        "scheduler::small::the_smallest_stack_bears_every_wait_and_an_interrupt_at_its_deepest",
        "30000",
        "300000",
    ),
    // Of these deliveries half go to another core, ...
    ("tokens::two_cores_lose_no_token", "1000000", "20000000"),
    // ... three quarters, ...
    ("tokens::four_cores_lose_no_token", "1000000", "14000000"),
    // ... seven eighths: ten million with `--long`.
    ("tokens::eight_cores_lose_no_token", "1000000", "12000000"),
    (
        "tokens::fibers_that_move_lose_no_token",
        "1000000",
        "10000000",
    ),
];

/// The tests in which it shows how `core` was built: those of the boot code, of failures and what they print, of switches.
const OF_CORE: [&str; 6] = [
    "harness::",
    "failures::fatal::",
    "context::",
    "fiber::",
    "examples::",
    "copies::",
];

/// Test programs that do not see the library's features, which are the compiler's own work, and the one that needs them all.
const WITHOUT_FEATURES: &[&str] = &["auto_traits", "compile_fail", "readme", "unsupported"];

/// The steps, for `--help`.
pub(crate) fn help() -> String {
    steps::help(STEPS)
}

/// Runs the verb; true if nothing failed.
pub(crate) fn verb(options: &Ci) -> Result<bool> {
    let counts = steps::run(STEPS, &options.steps, options)?;
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

impl Ci {
    const fn seeds(&self) -> Seeds {
        Seeds::new(self.long)
    }
}

fn without_features(ci: &Ci) -> Result<Counts> {
    let mut words = if ci.long {
        Vec::new()
    } else {
        host_tests::programs_without(WITHOUT_FEATURES)?
    };
    words.extend(["--package", "kfiber", "--no-default-features"].map(str::to_owned));
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    host_tests::run(&words, &ci.build, ci.seeds())
}

fn soak(ci: &Ci) -> Result<Counts> {
    let build = Build {
        release: true,
        ..ci.build.clone()
    };
    let mut counts = Counts::default();
    for (name, rounds, long) in SOAKS {
        let rounds = if ci.long { long } else { rounds };
        let words = ["--exact", name, "--rounds", rounds];
        let run = test::in_qemu(&words, &build, ci.seeds())?;
        anyhow::ensure!(run.passed + run.failed == 1, "no test is called {name}");
        counts = counts.plus(run);
    }
    Ok(counts)
}

fn other_core(ci: &Ci) -> Result<Counts> {
    let used = setup::core::ensure(ci.build.core)?;
    let [rustup, distribution] = CoreSource::ALL;
    let other = if used == rustup { distribution } else { rustup };
    if let Err(error) = setup::core::ensure(Some(other)) {
        console::loud(format!(
            "SKIPPED: this machine cannot have {}: {error:#}",
            other.describe()
        ));
        return Ok(Counts::SKIPPED);
    }
    let build = Build {
        core: Some(other),
        ..ci.build.clone()
    };
    test::in_qemu(if ci.long { &[] } else { &OF_CORE }, &build, ci.seeds())
}
