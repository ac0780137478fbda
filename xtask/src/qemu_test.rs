//! The verb `qemu-test`: selects tests, runs each in a machine of its own, several at a time.

mod gdb;
mod junit;
#[cfg(test)]
mod liars;
mod manifest;
pub(crate) mod report;
pub(crate) mod runner;
pub(crate) mod verdict;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::{env, mem};

use anyhow::{Result, bail};
use libtest_mimic::{Arguments, ColorSetting, Conclusion, Failed, FormatSetting, Trial};

use crate::cli::{Color, Format, QemuTest};
use crate::kernel::cargo;
use crate::kernel::elf::{self, TestCase};
use crate::seeds::random_seed;
use crate::{console, setup};
use junit::{Entry, Ran};
use runner::Runner;
use verdict::Outcome;

/// Runs the verb; true if no test failed.
pub(crate) fn verb(options: &QemuTest) -> Result<bool> {
    let kernel = prepare(options)?;
    Ok(run(options, kernel)?.is_none_or(|conclusion| !conclusion.has_failed()))
}

/// Builds the kernel and runs the tests; the counts.
pub(crate) fn counts(options: &QemuTest) -> Result<Conclusion> {
    counts_of(options, prepare(options)?)
}

/// Runs the tests of a kernel that was built already; the counts.
pub(crate) fn counts_of(options: &QemuTest, kernel: PathBuf) -> Result<Conclusion> {
    let Some(conclusion) = run(options, kernel)? else {
        bail!("gdb and counts do not go together");
    };
    Ok(conclusion)
}

/// Runs the verb as nextest wants it: the listing process builds, the many running ones do not.
pub(crate) fn nextest(options: &QemuTest) -> Result<bool> {
    let is_one_of_many = env::var_os("NEXTEST").is_some() && !options.list;
    let kernel = if is_one_of_many {
        manifest::read(options)?
    } else {
        // Of the many, none should have to install it.
        setup::qemu::ensure()?;
        let kernel = prepare(options)?;
        manifest::write(options, &kernel)?;
        kernel
    };
    Ok(run(options, kernel)?.is_none_or(|conclusion| !conclusion.has_failed()))
}

/// Makes sure of everything that is needed, then builds the kernel: what is missing is said before the long wait.
fn prepare(options: &QemuTest) -> Result<PathBuf> {
    if !options.list {
        setup::qemu::ensure()?;
    }
    cargo::build_kernel(&options.kernel, &options.build)
}

/// The counts, or nothing after a session with gdb that ended well.
fn run(options: &QemuTest, kernel: PathBuf) -> Result<Option<Conclusion>> {
    let tests = elf::tests(&kernel)?;
    let selected = select(options, &tests)?;
    if options.list {
        return Ok(Some(libtest_mimic::run(
            &arguments(options, Vec::new()),
            trials(&selected),
        )));
    }
    let seed = options.seed.unwrap_or_else(random_seed);
    let program = setup::qemu::ensure()?;
    let runner = Runner {
        options: options.clone(),
        program,
        kernel,
        symbols: Mutex::default(),
    };
    if options.gdb {
        let [test] = &*selected else {
            bail!(
                "--gdb needs exactly one test, and {} are selected; --exact NAME selects one",
                selected.len()
            );
        };
        if !gdb::debug(&runner, test, seed)? {
            bail!("the test did not pass");
        }
        return Ok(None);
    }
    console::say(format!("seed {seed}"));
    Ok(Some(run_all(runner, &tests, &selected, seed)?))
}

/// The tests that the FILTERs and the flags ask for. A FILTER that selects nothing is a mistake, not a success.
fn select(options: &QemuTest, tests: &[TestCase]) -> Result<Vec<TestCase>> {
    let matches = |name: &str, filter: &String| {
        if options.exact {
            name == filter
        } else {
            name.contains(filter)
        }
    };
    for filter in &options.filters {
        if !tests.iter().any(|test| matches(&test.name, filter)) {
            let (what, hint) = if options.exact {
                ("is named", "")
            } else {
                ("has a name with", " in it")
            };
            bail!(
                "no test {what} `{filter}`{hint}; `cargo xtask qemu-test --list` shows the {} there are",
                tests.len()
            );
        }
    }
    let is_selected = |test: &&TestCase| {
        let is_named =
            options.filters.is_empty() || options.filters.iter().any(|f| matches(&test.name, f));
        is_named
            && !options.skip.iter().any(|f| matches(&test.name, f))
            && (!options.ignored || test.is_ignored())
    };
    let selected: Vec<_> = tests.iter().filter(is_selected).cloned().collect();
    if selected.is_empty() && !options.filters.is_empty() {
        bail!("every test that matches is left out by --skip or --ignored");
    }
    Ok(selected)
}

fn run_all(
    runner: Runner,
    tests: &[TestCase],
    selected: &[TestCase],
    seed: u32,
) -> Result<Conclusion> {
    let runner = Arc::new(runner);
    let entries = Arc::new(Mutex::new(Vec::new()));
    let options = &runner.options;
    let mut trials = Vec::new();
    for round in 0..options.repeat {
        for test in selected {
            let name = decorate(&test.name, round);
            let is_ignored = test.is_ignored() && !options.ignored && !options.include_ignored;
            if is_ignored {
                lock(&entries).push(Entry {
                    name: name.clone(),
                    result: None,
                });
            }
            let (runner, test, entries) = (Arc::clone(&runner), test.clone(), Arc::clone(&entries));
            let seed = seed.wrapping_add(round);
            let body = move || run_one(&runner, &test, seed, round, &entries);
            trials.push(Trial::test(name, body).with_ignored_flag(is_ignored));
        }
    }
    // The front end counts what is left out, so it is told of those too.
    let left_out: Vec<_> = tests
        .iter()
        .filter(|test| !selected.contains(test))
        .cloned()
        .collect();
    let skip = left_out.iter().map(|test| test.name.clone()).collect();
    trials.extend(self::trials(&left_out));
    let conclusion = libtest_mimic::run(&arguments(options, skip), trials);
    if let Some(file) = &options.junit {
        junit::write(file, &options.kernel, mem::take(&mut *lock(&entries)))?;
    }
    Ok(conclusion)
}

fn run_one(
    runner: &Runner,
    test: &TestCase,
    seed: u32,
    round: u32,
    entries: &Mutex<Vec<Entry>>,
) -> Result<(), Failed> {
    let finished = runner
        .run(test, seed)
        .map_err(|error| format!("{error:#}"))?;
    let text = (finished.verdict.outcome != Outcome::Pass)
        .then(|| report::failure(runner, test, seed, &finished));
    lock(entries).push(Entry {
        name: decorate(&test.name, round),
        result: Some(Ran {
            verdict: finished.verdict,
            duration: finished.run.duration,
            serial: finished.run.serial,
            stderr: finished.run.stderr,
        }),
    });
    text.map_or(Ok(()), |text| Err(Failed::from(text)))
}

/// Trials that are only named, for lists.
fn trials(tests: &[TestCase]) -> Vec<Trial> {
    let named =
        |test: &TestCase| Trial::test(&*test.name, || Ok(())).with_ignored_flag(test.is_ignored());
    tests.iter().map(named).collect()
}

/// The front end's arguments. Selection is done here, because libtest takes several FILTERs and the front end one.
fn arguments(options: &QemuTest, skip: Vec<String>) -> Arguments {
    let format = match (options.format, options.quiet) {
        (Some(Format::Terse), _) | (None, true) => FormatSetting::Terse,
        (Some(Format::Json), _) => FormatSetting::Json,
        (Some(Format::Pretty) | None, _) => FormatSetting::Pretty,
    };
    let color = match options.color {
        Color::Auto => ColorSetting::Auto,
        Color::Always => ColorSetting::Always,
        Color::Never => ColorSetting::Never,
    };
    Arguments {
        list: options.list,
        exact: true,
        skip,
        test_threads: options.test_threads.map(usize::from),
        format: Some(format),
        color: Some(color),
        ..Arguments::default()
    }
}

fn decorate(name: &str, round: u32) -> String {
    if round == 0 {
        name.to_owned()
    } else {
        format!("{name} (repeat {round})")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("nothing panics while it holds the results")
}
