//! The verb `qemu-test`: builds the kernels whose tests `cargo-kfiber` then selects and runs.

#[cfg(test)]
mod liars;
mod manifest;

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use cargo_kfiber::machine::Loader;
use cargo_kfiber::qemu_test::origin::{AskedBy, Origin};
use cargo_kfiber::qemu_test::runner::Runner;
use cargo_kfiber::qemu_test::verdict::LineCount;
use libtest_mimic::Conclusion;

use crate::cli::QemuTest;
use crate::kernel::cargo;
use crate::seeds::random_seed;
use crate::{console, setup, workspace};

/// The kernels that together are the suite: one for most tests, and one for those that need several cores, which is
/// built with the feature `smp`.
pub(crate) const SUITE: [&str; 2] = ["suite", "smp"];

/// Deadline of a test that names none. A boot takes a tenth of a second; the rest is for slow and busy machines.
const DEADLINE: Duration = Duration::from_secs(30);

/// A kernel that was built.
struct Built {
    name: String,
    file: PathBuf,
}

/// Runs the verb; true if no test failed.
pub(crate) fn verb(options: &QemuTest) -> Result<bool> {
    let kernels = prepare(options)?;
    Ok(run(options, kernels)?.is_none_or(|conclusion| !conclusion.has_failed()))
}

/// Builds the kernels and runs the tests; the counts.
pub(crate) fn counts(options: &QemuTest) -> Result<Conclusion> {
    counts_of_all(options, prepare(options)?)
}

/// Runs the tests of a kernel that was built already; the counts.
pub(crate) fn counts_of(options: &QemuTest, file: PathBuf) -> Result<Conclusion> {
    let name = options.kernel.clone();
    counts_of_all(options, vec![Built { name, file }])
}

fn counts_of_all(options: &QemuTest, kernels: Vec<Built>) -> Result<Conclusion> {
    let Some(conclusion) = run(options, kernels)? else {
        bail!("gdb and counts do not go together");
    };
    Ok(conclusion)
}

/// Runs the verb as nextest wants it: the listing process builds, the many running ones do not.
pub(crate) fn nextest(options: &QemuTest) -> Result<bool> {
    let is_one_of_many = env::var_os("NEXTEST").is_some() && !options.tests.list;
    let kernels = if is_one_of_many {
        let noted = |name: &str| {
            Ok(Built {
                name: name.to_owned(),
                file: manifest::read(name, &options.build)?,
            })
        };
        names(options)
            .into_iter()
            .map(noted)
            .collect::<Result<_>>()?
    } else {
        // Of the many, none should have to install it.
        setup::qemu::ensure()?;
        let kernels = prepare(options)?;
        for kernel in &kernels {
            manifest::write(&kernel.name, &options.build, &kernel.file)?;
        }
        kernels
    };
    Ok(run(options, kernels)?.is_none_or(|conclusion| !conclusion.has_failed()))
}

/// The kernels that are asked for.
fn names(options: &QemuTest) -> Vec<&str> {
    // The second one has nothing that it would not have had before.
    if options.kernel == SUITE[0] && !options.with_smp {
        SUITE.to_vec()
    } else {
        vec![&options.kernel]
    }
}

/// Makes sure of everything that is needed, then builds the kernels: what is missing is said before the long wait.
fn prepare(options: &QemuTest) -> Result<Vec<Built>> {
    if !options.tests.list {
        setup::qemu::ensure()?;
    }
    let build = |name: &str| {
        Ok(Built {
            name: name.to_owned(),
            file: if options.with_smp {
                cargo::build_kernel_with_smp(name, &options.build)?
            } else {
                cargo::build_kernel(name, &options.build)?
            },
        })
    };
    names(options).into_iter().map(build).collect()
}

/// The counts, or nothing after a session with gdb that ended well.
fn run(options: &QemuTest, kernels: Vec<Built>) -> Result<Option<Conclusion>> {
    let program = if options.tests.list {
        PathBuf::new()
    } else {
        setup::qemu::ensure()?
    };
    let runner = |kernel: Built| {
        let origin = origin(options, kernel.name)?;
        Ok(Runner::new(
            &options.tests,
            program.clone(),
            kernel.file,
            origin,
        ))
    };
    let runners = kernels
        .into_iter()
        .map(runner)
        .collect::<Result<Vec<_>>>()?;
    let seed = options.tests.seed.unwrap_or_else(random_seed);
    cargo_kfiber::qemu_test::run(&options.tests, runners, seed, || {
        console::say(format!("seed {seed}"));
    })
}

/// How a kernel of ours is found again.
pub(crate) fn origin(options: &QemuTest, name: String) -> Result<Origin> {
    let mut words = Vec::new();
    if !SUITE.contains(&&*name) {
        words.extend(["--kernel".to_owned(), name.clone()]);
    }
    if options.with_smp {
        words.push("--with-smp".to_owned());
    }
    if options.build.release {
        words.push("--release".to_owned());
    }
    if let Some(core) = options.build.core {
        words.extend(["--core".to_owned(), core.word().to_owned()]);
    }
    Ok(Origin {
        name,
        root: workspace::root().to_owned(),
        logs: workspace::target_directory()?.join("qemu-test"),
        command: "cargo xtask qemu-test".to_owned(),
        words,
        loader: Loader::Qemu,
        qemu: Vec::new(),
        asked_by: AskedBy::CommandLine,
        line_count: LineCount::Required,
        lets_fibers_fail: true,
        deadline: DEADLINE,
    })
}

#[cfg(test)]
mod tests {
    use cargo_kfiber::kernel::elf::TestCase;
    use cargo_kfiber::qemu_test::report::rerun;
    use clap::Parser as _;

    use super::*;
    use crate::cli::Nextest;

    fn again(options: &QemuTest) -> String {
        let test = TestCase {
            name: "a::b".to_owned(),
            function: "suite::a::b".to_owned(),
            file: "a.rs".to_owned(),
            line: 7,
            flags: 0,
            timeout_seconds: 0,
            cores: 0,
            machine: String::new(),
        };
        let origin = origin(options, options.kernel.clone()).expect("a target folder");
        let runner = Runner::new(&options.tests, PathBuf::new(), PathBuf::new(), origin);
        rerun(&runner, &test, 5)
    }

    #[test]
    fn the_command_to_rerun_repeats_what_matters_and_nothing_else() {
        let mut plain =
            Nextest::parse_from(["qemu", "a", "--test-threads", "3", "--repeat", "9"]).options;
        // The environment may ask for a way to `core`, which would rightly be repeated.
        plain.build.core = None;
        assert_eq!(again(&plain), "cargo xtask qemu-test --exact a::b --seed 5");
        let words = "qemu --release --smp 2 --machine pc --kernel liars --rounds 10 --timeout 3 --core distribution --with-smp";
        let special = Nextest::parse_from(words.split(' ')).options;
        let again = again(&special);
        for option in words.split(" --").skip(1) {
            assert!(
                again.contains(&format!("--{option}")),
                "--{option} is missing in {again}"
            );
        }
    }
}
