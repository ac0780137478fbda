//! Sessions through the bridge, in which fibers are threads: gdb without any script of ours, gdb as an editor drives it, and
//! LLDB as VS Code drives it.

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result};
use cargo_kfiber::gdb::{self, Kernel, Stream};

use super::{dap, live, mi, session};

/// The commands of the session for one core, and for four.
pub(super) fn gdb(kernel: &Path, cores: u32) -> Result<String> {
    let commands = if cores == 1 {
        "bridge.gdb"
    } else {
        "bridge-four-cores.gdb"
    };
    with_bridge(kernel, cores, |address| {
        let mut gdb = session::gdb(kernel);
        // The script in the kernel's file is not wanted here.
        gdb.args(["-iex", "set auto-load no", "-ex"])
            .arg(format!("target remote {address}"));
        session::output_of(gdb.arg("-x").arg(session::commands(commands)))
    })
}

/// What an editor asks of gdb.
pub(super) fn editor(kernel: &Path) -> Result<String> {
    with_bridge(kernel, 1, |address| mi::session(kernel, address))
}

/// What VS Code asks of LLDB. `adapter` is the program that it starts.
pub(super) fn lldb(adapter: &Path, kernel: &Path) -> Result<String> {
    with_bridge(kernel, 4, |address| dap::session(adapter, kernel, address))
}

/// Boots a kernel behind the bridge, and passes the address at which the bridge listens.
fn with_bridge(
    kernel: &Path,
    cores: u32,
    debug: impl FnOnce(&str) -> Result<String>,
) -> Result<String> {
    let known = Kernel::read(kernel, 0)?;
    live::with_kernel(kernel, cores, |socket| over(&known, socket, debug))
}

/// Puts the bridge before a machine, and passes the address at which the bridge listens.
pub(crate) fn over<R>(
    kernel: &Kernel,
    socket: &Path,
    debug: impl FnOnce(&str) -> Result<R>,
) -> Result<R> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?.to_string();
    thread::scope(|scope| {
        let bridge = scope.spawn(move || -> Result<()> {
            let qemu = UnixStream::connect(socket).context("QEMU's socket")?;
            let (debugger, _) = listener.accept()?;
            // Whichever side goes first, the session is over; what it was worth is in its answers.
            drop(gdb::serve(
                Some(kernel),
                Stream::Tcp(debugger),
                Stream::Unix(qemu),
            ));
            Ok(())
        });
        let output = debug(&address);
        // A bridge that waits for a debugger that never came would wait for ever.
        drop(TcpStream::connect(&address));
        bridge.join().expect("the bridge does not panic")?;
        output
    })
}
