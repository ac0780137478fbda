//! The verb `matrix`: the switch in every kind of build that a kernel may have, many million times each.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use cargo_kfiber::qemu_test::report;
use cargo_kfiber::qemu_test::runner::Runner;
use cargo_kfiber::qemu_test::verdict::Outcome;
use clap::Parser as _;

use crate::cli::{Build, Matrix, Nextest, QemuTest, TestOptions};
use crate::kernel::cargo;
use crate::kernel::elf::{self, TestCase};
use crate::seeds::random_seed;
use crate::{console, parallel, qemu_test, setup};

/// The test that makes the switches.
const FUZZ: &str = "fuzz::randomised_switches_keep_all_callee_saved_registers";
/// What else is run in each build: the tests whose names begin so, which are quick.
const SMOKE: [&str; 5] = [
    "context::",
    "flags::",
    "fiber::nested",
    "fiber::interrupts",
    "copies::",
];
/// What the test prints after the number of switches in which every register was found as it must be.
const VERIFIED: &str = " verified";

/// A kind of build.
struct Variant {
    name: &'static str,
    /// `lto`, `codegen-units` and `opt-level` of the release profile; none means the debug profile.
    release: Option<[&'static str; 3]>,
    /// One of those that stand for all: with and without optimisation, each kind of LTO, one unit and many.
    is_main: bool,
}

/// A release build.
const fn release(name: &'static str, is_main: bool, settings: [&'static str; 3]) -> Variant {
    Variant {
        name,
        release: Some(settings),
        is_main,
    }
}

/// The slowest first.
const VARIANTS: [Variant; 9] = [
    Variant {
        name: "debug",
        release: None,
        is_main: true,
    },
    release("lto=off units=16", true, ["off", "16", "3"]),
    release("lto=off units=1", true, ["off", "1", "3"]),
    release("lto=thin units=16", true, ["thin", "16", "3"]),
    release("lto=thin units=1", false, ["thin", "1", "3"]),
    release("lto=fat units=16", false, ["fat", "16", "3"]),
    release("lto=fat units=1", true, ["fat", "1", "3"]),
    release("lto=fat units=1 opt=s", false, ["fat", "1", "s"]),
    release("lto=thin units=16 opt=z", false, ["thin", "16", "z"]),
];

impl Variant {
    /// What tells cargo so.
    fn environment(&self) -> Vec<(&'static str, &'static str)> {
        let names = [
            "CARGO_PROFILE_RELEASE_LTO",
            "CARGO_PROFILE_RELEASE_CODEGEN_UNITS",
            "CARGO_PROFILE_RELEASE_OPT_LEVEL",
        ];
        let settings = self.release.iter().flatten().copied();
        let mut environment: Vec<_> = names.into_iter().zip(settings).collect();
        if self.release.is_some() {
            // Enough for the report of a failure, and a quarter less to compile. The code is the same.
            environment.push(("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only"));
        }
        environment
    }
}

/// A built kernel and the tests to run on it.
struct Built {
    name: &'static str,
    smoke: Runner,
    fuzz: Runner,
    rounds: u64,
    tests: Vec<TestCase>,
}

/// What became of one test of one build.
struct Outcomes {
    variant: usize,
    is_fuzz: bool,
    passed: bool,
    verified: u64,
    duration: Duration,
}

/// Runs the verb; true if all tests passed in all builds.
pub(crate) fn verb(options: &Matrix) -> Result<bool> {
    let program = setup::qemu::ensure()?;
    // Before several builds at once need it.
    setup::core::ensure(options.core)?;
    let all = parallel::map(VARIANTS.iter().collect(), |variant| {
        prepare(variant, options, &program)
    });
    let all = all.into_iter().collect::<Result<Vec<_>>>()?;
    let seed = options.seed.unwrap_or_else(random_seed);
    console::say(format!("seed {seed}"));
    let mut jobs = Vec::new();
    for is_fuzz in [true, false] {
        for (variant, built) in all.iter().enumerate() {
            let tests = built
                .tests
                .iter()
                .filter(|test| (test.name == FUZZ) == is_fuzz);
            jobs.extend(tests.map(|test| (variant, test)));
        }
    }
    let outcomes = parallel::map(jobs, |(variant, test)| {
        run_one(&all[variant], variant, test, seed)
    });
    let outcomes = outcomes.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(table(&all, &outcomes))
}

/// Builds the suite and chooses its tests.
fn prepare(variant: &Variant, options: &Matrix, program: &Path) -> Result<Built> {
    let build = Build {
        release: variant.release.is_some(),
        core: options.core,
    };
    console::say(variant.name);
    let kernel = if build.release {
        // In a folder of its own, so that builds do not wait for each other.
        let folder = format!("matrix-builds/{}", variant.name.replace(' ', "-"));
        cargo::build_switches(&folder, &build, &variant.environment())?
    } else {
        cargo::build_kernel("suite", &build)?
    };
    let mut tests = elf::tests(&kernel)?;
    let is_wanted = |test: &TestCase| {
        test.name == FUZZ || SMOKE.iter().any(|start| test.name.starts_with(start))
    };
    tests.retain(|test| is_wanted(test) && !test.is_ignored());
    for name in SMOKE.iter().chain([&FUZZ]) {
        ensure!(
            tests.iter().any(|test| test.name.starts_with(name)),
            "the suite has no test whose name begins with `{name}`"
        );
    }
    let mut test_options: QemuTest = Nextest::parse_from(["qemu-test"]).options;
    test_options.build = build;
    let rounds = if variant.is_main || options.even {
        options.rounds
    } else {
        options.rounds.div_ceil(10)
    };
    let origin = qemu_test::origin(&test_options, test_options.kernel.clone())?;
    let runner = |rounds| {
        let options = TestOptions {
            rounds,
            ..test_options.tests.clone()
        };
        Runner::new(&options, program.to_owned(), kernel.clone(), origin.clone())
    };
    Ok(Built {
        name: variant.name,
        smoke: runner(None),
        fuzz: runner(Some(rounds)),
        rounds,
        tests,
    })
}

fn run_one(built: &Built, variant: usize, test: &TestCase, seed: u32) -> Result<Outcomes> {
    let is_fuzz = test.name == FUZZ;
    let runner = if is_fuzz { &built.fuzz } else { &built.smoke };
    let finished = runner.run(test, seed)?;
    let passed = finished.verdict.outcome == Outcome::Pass;
    if !passed {
        let text = report::failure(runner, test, seed, &finished);
        anstream::println!("\n{}: {}: {text}", built.name, test.name);
    }
    let verified = verified(&String::from_utf8_lossy(&finished.run.serial));
    if is_fuzz {
        let seconds = finished.run.duration.as_secs_f32();
        console::say(format!(
            "{}: {verified} verified in {seconds:.1} s",
            built.name
        ));
    }
    Ok(Outcomes {
        variant,
        is_fuzz,
        passed,
        verified,
        duration: finished.run.duration,
    })
}

/// The number in front of the word, 0 if there is none.
fn verified(serial: &str) -> u64 {
    let before = serial.split_once(VERIFIED).map_or("", |(before, _)| before);
    let number = before.rsplit(|c: char| !c.is_ascii_digit()).next();
    number.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Prints what was done in each build; true if nothing failed and enough was verified.
fn table(all: &[Built], outcomes: &[Outcomes]) -> bool {
    let width = all.iter().map(|built| built.name.len()).max().unwrap_or(0);
    println!(
        "\n{:width$}  {:>12}  {:>8}  tests",
        "build", "verified", "time"
    );
    let mut is_good = true;
    for (variant, built) in all.iter().enumerate() {
        let of_this = || outcomes.iter().filter(|outcome| outcome.variant == variant);
        let passed = of_this().filter(|outcome| outcome.passed).count();
        let fuzz = of_this().find(|outcome| outcome.is_fuzz);
        let (verified, seconds) = fuzz.map_or((0, 0.0), |fuzz| {
            (fuzz.verified, fuzz.duration.as_secs_f32())
        });
        let count = built.tests.len();
        let is_enough = verified >= built.rounds;
        let word = if passed == count && is_enough {
            "ok"
        } else {
            "FAILED"
        };
        println!(
            "{:width$}  {verified:12}  {seconds:6.1} s  {passed}/{count} {word}",
            built.name
        );
        is_good &= passed == count && is_enough;
    }
    is_good
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_taken_from_the_tests_own_line() {
        let serial = "@kfiber run x\n123 cycles\n1033 switches: 1006 verified, 27 first entries\n";
        assert_eq!(verified(serial), 1006);
        assert_eq!(verified("no such line"), 0);
        assert_eq!(verified(" verified"), 0);
    }

    #[test]
    fn a_build_without_settings_is_the_debug_one() {
        assert_eq!(VARIANTS[0].environment(), []);
        assert_eq!(
            VARIANTS[5].environment()[0],
            ("CARGO_PROFILE_RELEASE_LTO", "fat")
        );
    }
}
