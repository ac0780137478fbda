//! Commands for kernels that use kfiber, each in a file of its own.

#![expect(
    clippy::std_instead_of_core,
    reason = "a program of the host, where `std` is the one place to look"
)]

pub mod console;
pub mod gdb;
pub mod input;
pub mod kernel;
pub mod machine;
pub mod options;
pub mod program;
pub mod project;
pub mod qemu_test;
pub mod report;
pub mod stacks;
pub mod test;
pub mod trace;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The command line.
#[derive(Parser)]
#[command(
    name = "cargo-kfiber",
    bin_name = "cargo kfiber",
    version,
    about,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What can be asked for: a variant for each command.
#[derive(Subcommand)]
enum Command {
    /// Show the fibers of a kernel in QEMU as threads, to any debugger: gdb, LLDB, VS Code
    Gdb(gdb::Arguments),
    Test(test::Options),
    Report(report::Options),
    Stacks(stacks::Options),
    /// Turn what a flight recorder exported into a trace for Perfetto, text, numbers or a picture
    Trace(trace::Options),
}

/// Runs the program, and prints an error if there is one.
#[must_use]
pub fn main() -> ExitCode {
    match run(Arguments::parse_from(words())) {
        Ok(code) => code,
        Err(error) => {
            console::error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Returns the words of the command line, without the `kfiber` that cargo puts between.
fn words() -> impl Iterator<Item = OsString> {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == "kfiber") {
        words.remove(1);
    }
    words.into_iter()
}

/// Does what a command asks for.
fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let is_good = match arguments.command {
        Command::Gdb(arguments) => return gdb::command(&arguments),
        Command::Test(options) => test::run(&options)?,
        Command::Report(options) => report::run(&options).map(|()| true)?,
        Command::Stacks(options) => stacks::run(&options)?,
        Command::Trace(options) => trace::run(&options).map(|()| true)?,
    };
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(101)
    })
}
