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

/// The kernels that together are the suite: one for most tests, and one for those that need several cores, which is
/// built with the feature `smp`.
pub(crate) const SUITE: [&str; 2] = ["suite", "smp"];

/// A kernel that was built.
struct Built {
    name: String,
    file: PathBuf,
}

/// A kernel's tests, and what runs them.
struct Tests {
    runner: Arc<Runner>,
    all: Vec<TestCase>,
    selected: Vec<TestCase>,
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
    let is_one_of_many = env::var_os("NEXTEST").is_some() && !options.list;
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
    if !options.list {
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
    let program = if options.list {
        PathBuf::new()
    } else {
        setup::qemu::ensure()?
    };
    let tests_of = |kernel: Built| {
        let all = elf::tests(&kernel.file)?;
        Ok(Tests {
            selected: select(options, &all),
            all,
            runner: Arc::new(Runner {
                options: QemuTest {
                    kernel: kernel.name,
                    ..options.clone()
                },
                program: program.clone(),
                kernel: kernel.file,
                symbols: Mutex::default(),
            }),
        })
    };
    let tests = kernels
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
    let seed = options.seed.unwrap_or_else(random_seed);
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
    console::say(format!("seed {seed}"));
    Ok(Some(run_all(options, &tests, seed)?))
}

/// Whether a FILTER means a test.
fn matches(options: &QemuTest, name: &str, filter: &str) -> bool {
    if options.exact {
        name == filter
    } else {
        name.contains(filter)
    }
}

/// The tests that the FILTERs and the flags ask for.
fn select(options: &QemuTest, tests: &[TestCase]) -> Vec<TestCase> {
    let is_one_of =
        |filters: &[String], name: &str| filters.iter().any(|f| matches(options, name, f));
    let is_selected = |test: &&TestCase| {
        let is_named = options.filters.is_empty() || is_one_of(&options.filters, &test.name);
        is_named && !is_one_of(&options.skip, &test.name) && (!options.ignored || test.is_ignored())
    };
    tests.iter().filter(is_selected).cloned().collect()
}

/// A FILTER that selects nothing is a mistake, not a success. So are two tests of one name.
fn complain(options: &QemuTest, tests: &[Tests]) -> Result<()> {
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
                "no test {what} `{filter}`{hint}; `cargo xtask qemu-test --list` shows the {} there are",
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

fn run_all(options: &QemuTest, tests: &[Tests], seed: u32) -> Result<Conclusion> {
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
fn trials<'tests>(tests: impl IntoIterator<Item = &'tests TestCase>) -> Vec<Trial> {
    let named =
        |test: &TestCase| Trial::test(&*test.name, || Ok(())).with_ignored_flag(test.is_ignored());
    tests.into_iter().map(named).collect()
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
