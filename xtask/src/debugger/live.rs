//! A kernel in a virtual machine that waits for a debugger.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use cargo_kfiber::machine::{Machine, qemu};
use clap::Parser as _;

use crate::cli::Nextest;
use crate::setup;

const DEADLINE: Duration = Duration::from_secs(300);

/// Starts a machine with this number of cores, has `debug` end it through the socket that it gets, and returns its answer.
pub(super) fn with_kernel<R>(
    kernel: &Path,
    cores: u32,
    debug: impl FnOnce(&Path) -> Result<R>,
) -> Result<R> {
    let program = setup::qemu::ensure()?;
    let mut options = Nextest::parse_from(["qemu-test"]).options.tests.machine;
    options.smp = cores;
    let machine = Machine::new(&program, &options, kernel, String::new());
    with_machine(machine, Some(DEADLINE), &|_| (), debug)
}

/// Ends a machine that a debugger has left alone.
fn end(socket: &Path) {
    // It fails if the machine ends just now.
    if let Ok(mut socket) = UnixStream::connect(socket) {
        drop(socket.write_all(b"$k#6b"));
        // The machine closes the connection when it has read this.
        drop(socket.read(&mut [0]));
    }
}

/// Starts a machine that waits for a debugger, has `debug` end it through the socket that it gets, and returns its answer.
pub(crate) fn with_machine<R>(
    mut machine: Machine,
    deadline: Option<Duration>,
    listener: &qemu::Listener<'_>,
    debug: impl FnOnce(&Path) -> Result<R>,
) -> Result<R> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("gdb");
    machine.gdb_socket = Some(socket.clone());
    thread::scope(|scope| {
        let mut command = machine.command();
        // A Ctrl-C at the terminal is for the debugger.
        command.process_group(0);
        let machine = scope.spawn(move || qemu::run(&mut command, deadline, listener));
        let start = Instant::now();
        while !socket.exists() && !machine.is_finished() && start.elapsed() < DEADLINE {
            thread::sleep(Duration::from_millis(10));
        }
        let output = (!machine.is_finished()).then(|| debug(&socket));
        if !machine.is_finished() {
            end(&socket);
        }
        let run = machine
            .join()
            .expect("the machine's thread does not panic")?;
        match output {
            Some(output) => output,
            None => bail!("QEMU ended before gdb came: {:?}\n{}", run.end, run.stderr),
        }
    })
}
