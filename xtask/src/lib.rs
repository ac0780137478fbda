//! Everything a person types: building the test kernels, booting them, judging what they say.
//!
//! Every option is in `cli`, once. Each verb is a module of the same name. The order of the modules is in `CONTRIBUTING.md`.

#![expect(
    clippy::std_instead_of_core,
    reason = "a program of the host, where `std` is the one place to look"
)]

mod backtraces;
mod bench;
mod ci;
mod cli;
mod compile_time;
mod console;
mod debugger;
mod demo;
mod doctor;
mod gdb;
mod host_tests;
mod kernel;
mod links;
mod matrix;
mod packaged;
mod parallel;
mod prove;
mod qemu_test;
mod seeds;
mod setup;
mod stacks;
mod steps;
mod targets;
mod test;
mod tidy;
mod whole_kernels;
mod workspace;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser as _};

/// Runs the verb on the command line.
#[must_use]
pub fn main() -> ExitCode {
    let cli = parse();
    let result = match cli.verb {
        cli::Verb::QemuTest(options) => qemu_test::verb(&options),
        cli::Verb::Matrix(options) => matrix::verb(&options),
        cli::Verb::Test(options) => test::verb(&options),
        cli::Verb::Prove(options) => prove::verb(&options),
        cli::Verb::Backtraces(options) => backtraces::verb(&options),
        cli::Verb::Bench(options) => bench::verb(&options),
        cli::Verb::CompileTime => compile_time::verb(),
        cli::Verb::Gdb(options) => gdb::verb(&options),
        cli::Verb::Stacks(options) => stacks::verb(&options),
        cli::Verb::Demo(options) => demo::verb(&options),
        cli::Verb::Doctor(options) => doctor::verb(&options),
        cli::Verb::Ci(options) => ci::verb(&options),
        cli::Verb::Tidy => tidy::verb(),
    };
    exit_code(result)
}

/// The command line, or its `--help`, to which the verbs that consist of steps add their tables.
fn parse() -> cli::Cli {
    let command = cli::Cli::command()
        .mut_subcommand("test", |verb| verb.after_help(test::help()))
        .mut_subcommand("backtraces", |verb| verb.after_help(backtraces::help()))
        .mut_subcommand("ci", |verb| verb.after_help(ci::help()));
    let matches = command.get_matches();
    cli::Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Runs the tests in QEMU for `cargo nextest`, which speaks libtest's command line to a test executable.
#[must_use]
pub fn nextest() -> ExitCode {
    exit_code(qemu_test::nextest(&cli::Nextest::parse().options))
}

/// A verb answers whether all went well; an error is something that kept it from answering.
fn exit_code(result: anyhow::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(101),
        Err(error) => {
            console::error(&error);
            ExitCode::FAILURE
        }
    }
}
