//! Selects tests, runs each in a machine of its own, several at a time.

pub mod gdb;
pub mod junit;
pub mod origin;
pub mod report;
pub mod runner;
pub mod verdict;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::mem;
use std::sync::{Arc, Mutex};

use anyhow::{Result, bail};
use libtest_mimic::{Arguments, ColorSetting, Conclusion, Failed, FormatSetting, Trial};

use crate::kernel::elf::{self, TestCase};
use crate::options::{Color, Format, TestOptions};
use junit::{Entry, Ran};
use runner::Runner;
use verdict::Outcome;

/// A kernel's tests, and what runs them.
struct Tests {
    runner: Arc<Runner>,
    all: Vec<TestCase>,
    selected: Vec<TestCase>,
}

/// Lists or runs the selected tests of the kernels, each of which has its runner. Returns the counts, or nothing after a
/// session with gdb that ended well.
///
/// # Errors
///
/// Fails if a kernel cannot be read, if nothing is selected, and if the test in gdb did not pass.
pub fn run(
    options: &TestOptions,
    runners: Vec<Runner>,
    seed: u32,
    before: impl FnOnce(),
) -> Result<Option<Conclusion>> {
    let tests_of = |runner: Runner| {
        let all = elf::tests(&runner.kernel)?;
        Ok(Tests {
            selected: select(options, &all),
            all,
            runner: Arc::new(runner),
        })
    };
    let tests = runners
        .into_iter()
        .map(tests_of)
        .collect::<Result<Vec<_>>>()?;
    complain(options, &tests)?;
    let selected = || tests.iter().flat_map(|tests| &tests.selected);
    if options.list {
        return Ok(Some(libtest_mimic::run(
            &arguments(options, Vec::new()),
            trials(selected()),
        )));
    }
    if options.gdb {
        let pairs = tests.iter().flat_map(|tests| {
            let pair = |test| (&tests.runner, test);
            tests.selected.iter().map(pair)
        });
        let [(runner, test)] = &*pairs.collect::<Vec<_>>() else {
            bail!(
                "--gdb needs exactly one test, and {} are selected; --exact NAME selects one",
                selected().count()
            );
        };
        if !gdb::debug(runner, test, seed)? {
            bail!("the test did not pass");
        }
        return Ok(None);
    }
    before();
    Ok(Some(run_all(options, &tests, seed)?))
}

/// Another seed in every run, so that the runs together see more than one could.
#[must_use]
pub fn random_seed() -> u32 {
    let random = RandomState::new().build_hasher().finish();
    u32::try_from(random >> 32).unwrap_or(1)
}

/// Whether a FILTER means a test.
fn matches(options: &TestOptions, name: &str, filter: &str) -> bool {
    if options.exact {
        name == filter
    } else {
        name.contains(filter)
    }
}

/// The tests that the FILTERs and the flags ask for.
fn select(options: &TestOptions, tests: &[TestCase]) -> Vec<TestCase> {
    let is_one_of =
        |filters: &[String], name: &str| filters.iter().any(|f| matches(options, name, f));
    let is_selected = |test: &&TestCase| {
        let is_named = options.filters.is_empty() || is_one_of(&options.filters, &test.name);
        is_named && !is_one_of(&options.skip, &test.name) && (!options.ignored || test.is_ignored())
    };
    tests.iter().filter(is_selected).cloned().collect()
}

/// A FILTER that selects nothing is a mistake, not a success. So are two tests of one name.
fn complain(options: &TestOptions, tests: &[Tests]) -> Result<()> {
    let mut names: Vec<_> = tests.iter().flat_map(|tests| &tests.all).collect();
    names.sort_by(|one, other| one.name.cmp(&other.name));
    if let Some(pair) = names.windows(2).find(|pair| pair[0].name == pair[1].name) {
        bail!("two kernels have a test named `{}`", pair[0].name);
    }
    for filter in &options.filters {
        if !names
            .iter()
            .any(|test| matches(options, &test.name, filter))
        {
            let (what, hint) = if options.exact {
                ("is named", "")
            } else {
                ("has a name with", " in it")
            };
            bail!(
                "no test {what} `{filter}`{hint}; `{} --list` shows the {} there are",
                tests
                    .first()
                    .map_or("", |tests| &tests.runner.origin.command),
                names.len()
            );
        }
    }
    let is_empty = tests.iter().all(|tests| tests.selected.is_empty());
    if is_empty && !options.filters.is_empty() {
        bail!("every test that matches is left out by --skip or --ignored");
    }
    Ok(())
}

fn run_all(options: &TestOptions, tests: &[Tests], seed: u32) -> Result<Conclusion> {
    let entries = Arc::new(Mutex::new(Vec::new()));
    let mut trials = Vec::new();
    for round in 0..options.repeat {
        for (runner, test) in tests
            .iter()
            .flat_map(|tests| tests.selected.iter().map(|test| (&tests.runner, test)))
        {
            let name = decorate(&test.name, round);
            let is_ignored = test.is_ignored() && !options.ignored && !options.include_ignored;
            if is_ignored {
                lock(&entries).push(Entry {
                    name: name.clone(),
                    result: None,
                });
            }
            let (runner, test, entries) = (Arc::clone(runner), test.clone(), Arc::clone(&entries));
            let seed = seed.wrapping_add(round);
            let body = move || run_one(&runner, &test, seed, round, &entries);
            trials.push(Trial::test(name, body).with_ignored_flag(is_ignored));
        }
    }
    // The front end counts what is left out, so it is told of those too.
    let left_out = |tests: &Tests| {
        let selected = tests.selected.clone();
        let all = tests.all.clone().into_iter();
        all.filter(move |test| !selected.contains(test))
    };
    let left_out: Vec<_> = tests.iter().flat_map(left_out).collect();
    let skip = left_out.iter().map(|test| test.name.clone()).collect();
    trials.extend(self::trials(&left_out));
    let conclusion = libtest_mimic::run(&arguments(options, skip), trials);
    if let Some(file) = &options.junit {
        let name = tests.first().map_or("", |tests| &tests.runner.origin.name);
        junit::write(file, name, mem::take(&mut *lock(&entries)))?;
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
fn trials<'tests>(tests: impl IntoIterator<Item = &'tests TestCase>) -> Vec<Trial> {
    let named =
        |test: &TestCase| Trial::test(&*test.name, || Ok(())).with_ignored_flag(test.is_ignored());
    tests.into_iter().map(named).collect()
}

/// The front end's arguments. Selection is done here, because libtest takes several FILTERs and the front end one.
fn arguments(options: &TestOptions, skip: Vec<String>) -> Arguments {
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
