//! The verb `gdb`: a kernel, or one of its tests, under a debugger that sees fibers as threads.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use cargo_kfiber::gdb::Kernel;
use cargo_kfiber::kernel::elf;
use cargo_kfiber::machine::Machine;
use cargo_kfiber::qemu_test::runner::Runner;
use clap::Parser as _;

use crate::cli::{Debugger, Gdb, Nextest};
use crate::debugger::{bridge, live};
use crate::kernel::cargo;
use crate::seeds::random_seed;
use crate::{qemu_test, setup};

/// Runs the verb; true if the debugger ended well.
pub(crate) fn verb(options: &Gdb) -> Result<bool> {
    let (kernel, test) = match options.target.split_once('/') {
        Some((kernel, test)) => (kernel, Some(test)),
        None => (&*options.target, None),
    };
    let file = if options.machine.smp > 1 {
        cargo::build_kernel_with_smp(kernel, &options.build)?
    } else {
        cargo::build_kernel(kernel, &options.build)?
    };
    let program = setup::qemu::ensure()?;
    let machine = match test {
        Some(test) => machine_of(kernel, test, &program, &file)?,
        None => Machine::new(&program, &options.machine, &file, String::new()),
    };
    let known = Kernel::read(&file, 0)?;
    let show = |line: &str| println!("| {}", line.trim_end());
    live::with_machine(machine, None, &show, |socket| {
        bridge::over(&known, socket, |address| debug(options, &file, address))
    })
}

/// The machine that runs a test of a kernel.
fn machine_of(kernel: &str, test: &str, program: &Path, file: &Path) -> Result<Machine> {
    let tests = elf::tests(file)?;
    let mut found = tests.iter().filter(|case| case.name.contains(test));
    let case = match (found.next(), found.next()) {
        (Some(case), None) => case,
        (Some(_), Some(_)) if tests.iter().any(|case| case.name == test) => {
            let mut same = tests.iter().filter(|case| case.name == test);
            same.next().context("just seen")?
        }
        (Some(_), Some(_)) => bail!("several tests of `{kernel}` have `{test}` in their names"),
        (None, _) => bail!("no test of `{kernel}` has `{test}` in its name"),
    };
    let options = Nextest::parse_from(["qemu-test"]).options;
    let origin = qemu_test::origin(&options, kernel.to_owned())?;
    let (program, file) = (program.to_owned(), file.to_owned());
    Runner::new(&options.tests, program, file, origin).machine(case, random_seed())
}

/// Starts the debugger; true if it ended well.
fn debug(options: &Gdb, kernel: &Path, address: &str) -> Result<bool> {
    if options.wait {
        let file = cargo_kfiber::console::quote(&kernel.to_string_lossy());
        println!("gdb {file} -ex 'target remote {address}'");
        println!("lldb {file} -o 'gdb-remote {address}'");
        println!("The bridge is there for one debugger. Enter ends it, if none came.");
        return Ok(std::io::stdin().read_line(&mut String::new()).is_ok());
    }
    let mut command = match options.debugger {
        Debugger::Gdb => Command::new("gdb"),
        Debugger::Lldb => Command::new("lldb"),
    };
    match options.debugger {
        Debugger::Gdb => {
            // The commands in the kernel's file work as well.
            let safe = kernel.parent().unwrap_or(kernel).display();
            let safe = format!("add-auto-load-safe-path {safe}");
            command.args(["-iex", &*safe, "-ex"]);
            command.arg(format!("target remote {address}"))
        }
        Debugger::Lldb => command.arg("-o").arg(format!("gdb-remote {address}")),
    };
    ignore_interrupts();
    let status = command.arg(kernel).status();
    let status = status.with_context(|| {
        let package = format!("{:?}", options.debugger).to_lowercase();
        format!(
            "{package} cannot be started; this installs it:\n  {}",
            setup::packages::apt_line(&[&*package])
        )
    })?;
    Ok(status.success())
}

/// Leaves Ctrl-C to the debugger, which stops the machine by it.
fn ignore_interrupts() {
    // SAFETY: no handler is set, and nobody else in this program sets one.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
}
