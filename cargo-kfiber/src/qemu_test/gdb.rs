//! Starts one test stopped, says how to attach gdb, and waits for its end.

use std::net::TcpListener;

use anyhow::{Context as _, Result};

use crate::console;
use crate::kernel::elf::TestCase;
use crate::machine::interrupt_log;
use crate::machine::qemu::{self, End};
use crate::qemu_test::runner::{Runner, keep_tail};
use crate::qemu_test::verdict::{Outcome, judge_by};

/// Runs the test under gdb; true if it passed.
///
/// # Errors
///
/// Fails if QEMU cannot be started.
pub fn debug(runner: &Runner, test: &TestCase, seed: u32) -> Result<bool> {
    let port = free_port()?;
    let mut machine = runner.machine(test, seed)?;
    machine.gdb_port = Some(port);
    // A triple fault and gdb's `kill` both end QEMU with status 0; only the log tells them apart.
    let log = tempfile::NamedTempFile::new()?;
    machine.interrupt_log = Some(log.path().to_owned());
    let kernel = console::quote(&runner.kernel.to_string_lossy());
    // A breakpoint in the test is set before the kernel has switched to long mode, which needs a hardware breakpoint.
    println!("{} waits for gdb. In another terminal:\n", test.name);
    println!(
        "  gdb {kernel} -ex 'target remote 127.0.0.1:{port}' -ex 'hbreak {}' -ex continue\n",
        test.function
    );
    println!("Ctrl-C here, or `kill` in gdb, ends it. The guest says:");
    let run = qemu::run(&mut machine.command(), None, &|line| {
        println!("| {}", line.trim_end());
    })?;
    if run.end == End::Status(0) && interrupt_log::triple_fault(&keep_tail(log.path())?).is_none() {
        println!("gdb ended the machine before the test had ended");
        return Ok(true);
    }
    let verdict = judge_by(runner.origin.line_count, &test.name, &run.serial, run.end);
    println!("{} {}", verdict.outcome, verdict.reason);
    Ok(verdict.outcome == Outcome::Pass)
}

/// A port that was free a moment ago: QEMU cannot say which one it chose.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port for gdb")?;
    Ok(listener.local_addr()?.port())
}
