//! The verb `stacks`: runs a kernel, shows how much of each stack it used, and how large each might be.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use cargo_kfiber::machine::Machine;
use cargo_kfiber::machine::qemu::{self, End};
use cargo_kfiber::stacks::table::Table;
use kfiber_test::protocol::TEST_KEY;

use crate::cli::{Build, CoreSource, Nextest, Stacks};
use crate::kernel::cargo;
use crate::steps::Counts;
use crate::{console, setup, workspace};

use clap::Parser as _;

/// Begins the line that names the compiler.
const COMPILER: &str = "Compiler: ";

const HEAD: &str = "\
# Stacks

`cargo xtask stacks` runs the demo kernel and prints this table. It fails if a stack is used more
than the table says. `cargo xtask stacks --update` writes this file, and `--kernel NAME` shows the
stacks of another kernel.

If several fibers share a name, the row shows the deepest. The suggestion is the use plus a quarter
of it, or plus 512 bytes if that is more. This leaves room for what did not happen in this run:
debug builds and deeper interrupts need more.
";

/// Where the table of the demo is committed.
const COMMITTED: &str = "docs/stacks.md";
/// The kernel that has one.
const KERNEL: &str = "demo";
/// Status of QEMU after the guest reported success.
const SUCCESS: i32 = 33;
/// A run takes seconds; the rest is for slow and busy machines.
const DEADLINE: Duration = Duration::from_secs(300);

/// Runs the verb; true if no stack is used more than the committed table says, or if there is none.
pub(crate) fn verb(options: &Stacks) -> Result<bool> {
    let compiler = setup::core::ensure(options.core)?.version()?;
    let table = Table::parse(&run(options)?)?;
    let text = format!("{HEAD}\n{COMPILER}{compiler}\n\n{}", table.text());
    print!("{text}");
    if options.kernel != KERNEL {
        return Ok(true);
    }
    let path = workspace::root().join(COMMITTED);
    if options.update {
        fs::write(&path, text)?;
        console::say(format!("wrote {COMMITTED}"));
        return Ok(true);
    }
    let committed = fs::read_to_string(&path).with_context(|| {
        format!("cannot read {COMMITTED}: `cargo xtask stacks --update` writes it")
    })?;
    let regressions = table.regressions(&committed);
    for regression in &regressions {
        console::loud(regression);
    }
    if regressions.is_empty() {
        console::say(format!("no more than in {COMMITTED}"));
        return Ok(true);
    }
    let theirs = compiler_of(&committed).unwrap_or("an unknown compiler");
    if theirs != compiler {
        console::loud(format!(
            "{COMMITTED} was made by {theirs}, and this is {compiler}: not a failure"
        ));
        return Ok(true);
    }
    console::loud(format!(
        "more than in {COMMITTED}; if the change is meant, `cargo xtask stacks --update` and commit it with its reason"
    ));
    Ok(false)
}

/// The verb as a step of another.
pub(crate) fn step(core: Option<CoreSource>) -> Result<Counts> {
    let options = Stacks {
        kernel: KERNEL.to_owned(),
        test: None,
        update: false,
        core,
    };
    verb(&options).map(Counts::from_success)
}

/// Runs the kernel to its end, which must be success, and returns what it printed.
fn run(options: &Stacks) -> Result<String> {
    let program = setup::qemu::ensure()?;
    let build = Build {
        release: true,
        core: options.core,
    };
    let kernel = cargo::build_kernel(&options.kernel, &build)?;
    let words = options
        .test
        .as_ref()
        .map_or_else(String::new, |test| format!(" {TEST_KEY}{test}"));
    let words = format!("stacks{words}");
    let machine = Nextest::parse_from(["stacks"]).options.tests.machine;
    let mut machine = Machine::new(&program, &machine, &kernel, words);
    // Interrupts come at the same instructions each time, and so find the stacks as deep as they did.
    machine.icount = true;
    let run = qemu::run(&mut machine.command(), Some(DEADLINE), &|_| ())?;
    let serial = String::from_utf8_lossy(&run.serial).into_owned();
    if run.end != End::Status(SUCCESS) {
        eprint!("{serial}{}", run.stderr);
        bail!(
            "the kernel `{}` came to {:?} instead of status {SUCCESS}",
            options.kernel,
            run.end
        );
    }
    ensure!(
        serial.contains("stack used="),
        "the kernel `{}` printed no high-water marks: call `tests_qemu::stacks::print` at its end",
        options.kernel
    );
    Ok(serial)
}

/// The compiler that made a committed table.
fn compiler_of(committed: &str) -> Option<&str> {
    committed
        .lines()
        .find_map(|line| line.strip_prefix(COMPILER))
}
