//! Fibers as threads in any debugger: a program between the debugger and the gdb port of QEMU.
//!
//! ```text
//!   gdb, LLDB, VS Code ──► bridge ──► QEMU -gdb tcp:localhost:1234
//!                            ▲
//!                            └── the kernel's file: where the fibers are
//! ```
//!
//! QEMU shows each processor as a thread. The bridge adds each fiber that does not run, with its
//! name, its state and the registers that the switch has stored. Everything else passes through.

mod dwarf;
mod fibers;
mod kernel;
mod link;
mod look;
mod packet;
mod registers;
mod resume;
mod session;
#[cfg(test)]
mod tests;
mod thread_id;
mod threads;

pub use kernel::Kernel;
pub use link::Stream;

use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use session::Session;

use crate::program;

/// Stands between a debugger and QEMU, and adds the fibers of a kernel to the list of threads.
///
/// Start QEMU with `-s` (or `-gdb tcp:localhost:1234`), and with `-S` if the kernel should wait for
/// the debugger. Then connect the debugger to the bridge instead of to QEMU.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every fiber that does not run is a thread with its name, its state, and what it waits for. A processor is a thread too, \
and has the name of the fiber that it runs. Breakpoints, memory and the monitor's commands pass through. The kernel must \
have debug information: `debug = 2` in the profile.

  qemu-system-x86_64 -kernel KERNEL -s -S …
  cargo kfiber gdb KERNEL
  gdb KERNEL -ex 'target remote localhost:1235'
  lldb KERNEL -o 'gdb-remote localhost:1235'")]
pub struct Arguments {
    /// The ELF file of the kernel that QEMU runs
    kernel: PathBuf,
    /// Where QEMU waits for gdb
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:1234")]
    qemu: String,
    /// Where the debugger connects
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:1235")]
    listen: String,
    /// How far above the addresses in its file the kernel runs, in hexadecimal
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = hexadecimal)]
    slide: u64,
    /// End after the first debugger has gone
    #[arg(long)]
    once: bool,
}

fn hexadecimal(text: &str) -> Result<u64, core::num::ParseIntError> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16)
}

/// Fails if there is no such file, which is a mistake on the command line.
fn check_exists(kernel: &Path) -> Result<()> {
    if !kernel.is_file() {
        bail!(
            "there is no kernel at {}: build it, or name the ELF file that QEMU runs",
            kernel.display()
        );
    }
    Ok(())
}

/// Does what the command line asks for: serves one debugger after the other.
pub(crate) fn command(arguments: &Arguments) -> Result<ExitCode> {
    check_exists(&arguments.kernel)?;
    // It may run all the same: under another name, or on another machine.
    if let Err(error) = program::qemu() {
        eprintln!("warning: {error}");
        eprintln!(
            "warning: debuggers can only connect if some QEMU waits at {}",
            arguments.qemu
        );
    }
    let kernel = match Kernel::read(&arguments.kernel, arguments.slide) {
        Ok(kernel) => Some(kernel),
        Err(error) => {
            eprintln!("warning: {error:#}");
            eprintln!("warning: no fibers are shown; everything passes through to QEMU");
            None
        }
    };
    let listener = TcpListener::bind(&arguments.listen)
        .with_context(|| format!("cannot listen at {}", arguments.listen))?;
    let (file, here) = (arguments.kernel.display(), &arguments.listen);
    println!("gdb {file} -ex 'target remote {here}'");
    println!("lldb {file} -o 'gdb-remote {here}'");
    loop {
        let (debugger, _) = listener.accept()?;
        match TcpStream::connect(&arguments.qemu) {
            Ok(qemu) => {
                let (debugger, qemu) = (Stream::Tcp(debugger), Stream::Tcp(qemu));
                if let Err(error) = serve(kernel.as_ref(), debugger, qemu) {
                    eprintln!("the session ends: {error}");
                }
            }
            Err(error) => eprintln!(
                "error: nobody answers at {}, where QEMU should be (start it with `-s -S`, or say --qemu): {error}",
                arguments.qemu
            ),
        }
        if arguments.once {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// Serves one debugger, until it or QEMU goes. Without a kernel everything only passes through.
///
/// # Errors
///
/// Returns an error if QEMU went first, or if a connection broke.
pub fn serve(kernel: Option<&Kernel>, debugger: Stream, qemu: Stream) -> io::Result<()> {
    Session::new(kernel, debugger, qemu)?.run()
}
