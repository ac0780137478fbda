//! The verb `bench`: boots the kernel that counts instructions, and holds the figures against the committed table.

mod figures;
mod listing;
pub(crate) mod peers;
mod sizes;
mod table;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use cargo_kfiber::machine::Machine;
use cargo_kfiber::machine::qemu::{self, End};
use cargo_kfiber::qemu_test::verdict::{Outcome, judge};
use clap::Parser as _;
use kfiber_test::protocol::TEST_KEY;

use crate::cli::{Bench, CoreSource, Nextest};
use crate::kernel::cargo;
use crate::kernel::cargo::Counted;
use crate::steps::Counts;
use crate::{console, setup, workspace};

use figures::Figures;
use sizes::Sizes;
use table::Table;

/// Where the figures are committed.
const COMMITTED: &str = "docs/instructions.md";
/// The tests of the kernel `bench`.
const COUNTING: &str = "instructions::instructions";
const CORES: &str = "cores::two_cores";
const CROWD: &str = "crowd::a_hundred_thousand_fibers_at_once";
/// Status of QEMU after the guest reported success.
const SUCCESS: i32 = 33;
/// A run takes seconds; the rest is for slow and busy machines.
const DEADLINE: Duration = Duration::from_secs(300);

/// Runs the verb; true if all figures are as committed, or were written.
pub(crate) fn verb(options: &Bench) -> Result<bool> {
    if options.peers {
        return peers::verb(options);
    }
    let program = setup::qemu::ensure()?;
    let kernel = cargo::build_counted_kernel("bench", Counted::ForSpeed, options.core)?;
    if let Some(operation) = &options.listing {
        let serial = boot(&program, &kernel, COUNTING, &format!(" trace={operation}"))?;
        listing::print(&kernel, operation, &serial)?;
        return Ok(true);
    }
    let counted = boot(&program, &kernel, COUNTING, "")?;
    let mut figures = Figures::parse(&counted)?;
    boot(&program, &kernel, CROWD, "")?;
    let mut sizes = Sizes::new(&kernel, &figures)?;
    for counted in [Counted::ForSpeed, Counted::ForSize] {
        let smallest = cargo::build_counted_kernel("smallest", counted, options.core)?;
        runs_to_success(&program, &smallest)?;
        sizes.add_smallest(&smallest, counted)?;
    }

    // The last ones, since they have the same path as the first.
    let unchecked = cargo::build_unchecked_kernel("bench", Counted::ForSpeed, options.core)?;
    let counted = Figures::parse(&boot(&program, &unchecked, COUNTING, "")?)?;
    figures.add("yield_2_unchecked", counted.reading("yield_2")?);
    let with = |features| {
        cargo::build_counted_kernel_with(features, "bench", Counted::ForSpeed, options.core)
    };
    let traced = Figures::parse(&boot(&program, &with("trace")?, COUNTING, "")?)?;
    for (key, of) in table::TRACED {
        figures.add(key, traced.reading(of)?);
    }
    let mut several = Figures::parse(&boot(&program, &with("smp")?, CORES, "")?)?;
    let traced = Figures::parse(&boot(&program, &with("smp,trace")?, CORES, "")?)?;
    for (key, of) in table::SEVERAL_TRACED {
        several.add(key, traced.reading(of)?);
    }

    let compiler = setup::core::ensure(options.core)?.version()?;
    let table = Table::new(&compiler, &figures, &sizes, &several)?;
    print!("{}", table.text());
    for complaint in table.shortfalls() {
        console::loud(complaint);
    }
    let path = workspace::root().join(COMMITTED);
    if options.update {
        fs::write(&path, table.text())?;
        console::say(format!("wrote {COMMITTED}"));
        return Ok(true);
    }
    let committed = fs::read_to_string(&path).with_context(|| {
        format!("cannot read {COMMITTED}: `cargo xtask bench --update` writes it")
    })?;
    Ok(compare(&table, &committed, options.strict))
}

/// The verb as a step of another.
pub(crate) fn counts(core: Option<CoreSource>) -> Result<Counts> {
    let options = Bench {
        update: false,
        strict: false,
        listing: None,
        peers: false,
        quick: false,
        check: false,
        core,
    };
    verb(&options).map(Counts::from_success)
}

fn compare(table: &Table, committed: &str, strict: bool) -> bool {
    let differences = table.differences(committed);
    if differences.is_empty() {
        console::say(format!("all as in {COMMITTED}"));
        return true;
    }
    for difference in &differences {
        console::loud(difference);
    }
    let theirs = table::compiler_of(committed).unwrap_or("an unknown compiler");
    if theirs != table.compiler() && !strict {
        console::loud(format!(
            "{COMMITTED} was made by {theirs}, and this is {}: not a failure without --strict",
            table.compiler()
        ));
        return true;
    }
    console::loud(format!(
        "not as in {COMMITTED}; if the change is meant, `cargo xtask bench --update` and commit it with its reason"
    ));
    false
}

/// Runs one test of the kernel `bench` and returns what it printed.
fn boot(program: &Path, kernel: &Path, test: &str, words: &str) -> Result<String> {
    let mut machine = machine(program, kernel, format!("{TEST_KEY}{test}{words}"));
    machine.icount = [COUNTING, CORES].contains(&test);
    if test == CORES {
        machine.options.smp = 2;
    }
    let run = qemu::run(&mut machine.command(), Some(DEADLINE), &|_| ())?;
    let verdict = judge(test, &run.serial, run.end);
    let serial = String::from_utf8_lossy(&run.serial).into_owned();
    if verdict.outcome != Outcome::Pass {
        eprint!("{serial}{}", run.stderr);
        bail!(
            "{}: {}; `cargo xtask qemu-test --release --kernel bench --exact {test}` tells more",
            verdict.outcome,
            verdict.reason
        );
    }
    Ok(serial)
}

/// Runs the kernel `smallest`, which has no words, only a status: a size of something that does not work is worth nothing.
fn runs_to_success(program: &Path, kernel: &Path) -> Result<()> {
    let machine = machine(program, kernel, String::new());
    let run = qemu::run(&mut machine.command(), Some(DEADLINE), &|_| ())?;
    ensure!(
        run.end == End::Status(SUCCESS),
        "the kernel `smallest` came to {:?} instead of status {SUCCESS}",
        run.end
    );
    Ok(())
}

/// The same machine on every machine.
fn machine(program: &Path, kernel: &Path, words: String) -> Machine {
    let options = Nextest::parse_from(["bench"]).options;
    Machine::new(program, &options.tests.machine, kernel, words)
}
