//! What can be asked of a virtual machine and of the tests in it, once. The doc comments are the `--help`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// The kind of PC that QEMU plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MachineKind {
    /// The PC of the last fifteen years: PCI Express, PIT, HPET, LAPIC
    Q35,
    /// The least machine that runs a kernel; boots twice as fast, has no PCI
    Microvm,
    /// The PC of 1996
    Pc,
}

/// Who executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Accelerator {
    /// QEMU's own translator: works everywhere, the same everywhere
    Tcg,
    /// The host's processor, where /dev/kvm exists and works (it may exist and be slow or unusable)
    Kvm,
}

/// The virtual machine of a test.
#[derive(Debug, Clone, Args)]
pub struct Machine {
    /// The kind of PC
    #[arg(long, value_enum, default_value = "q35", help_heading = "Machine")]
    pub machine: MachineKind,
    /// Who executes the guest's instructions
    #[arg(long, value_enum, default_value = "tcg", help_heading = "Machine")]
    pub accel: Accelerator,
    /// Number of processors
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=255), help_heading = "Machine")]
    pub smp: u32,
}

/// How the results are written while the tests run; the words are libtest's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line per test
    Pretty,
    /// One character per test
    Terse,
    /// One JSON object per event
    Json,
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Which tests run, how, and what is shown of them.
#[derive(Debug, Clone, Args)]
pub struct TestOptions {
    /// Run only tests whose name contains one of these
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// Take each FILTER as a whole name, not as a part of one
    #[arg(long)]
    pub exact: bool,
    /// Leave out tests whose name contains this (with --exact: is this); can be given several times
    #[arg(long, value_name = "FILTER")]
    pub skip: Vec<String>,
    /// List the tests, without booting anything
    #[arg(long)]
    pub list: bool,
    /// Run only the tests that are ignored by default
    #[arg(long)]
    pub ignored: bool,
    /// Run the ignored tests too
    #[arg(long, conflicts_with = "ignored")]
    pub include_ignored: bool,
    /// Run at most N virtual machines at a time; by default one per processor of this machine
    #[arg(long, short = 'j', visible_alias = "jobs", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub test_threads: Option<u16>,
    /// Show what the test kernels print while they run
    #[arg(long, alias = "no-capture")]
    pub nocapture: bool,
    /// How results are written
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// The same as --format terse
    #[arg(long, short, conflicts_with = "format")]
    pub quiet: bool,
    /// When to colour
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Accepted because libtest has it
    #[arg(short = 'Z', value_name = "OPTION", hide = true)]
    pub unstable: Option<String>,

    /// End each test after this time, whatever the test itself allows [default: 30, or what the test allows]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub timeout: Option<u32>,
    /// Seed of the randomised tests [default: random, and printed]
    #[arg(long, value_name = "N")]
    pub seed: Option<u32>,
    /// Make N rounds in the tests that loop, instead of their own number
    #[arg(long, value_name = "N")]
    pub rounds: Option<u64>,
    /// Run each test N times, with seeds that count up
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Write the results to FILE as XML, in the format of JUnit
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Start the one selected test stopped, print the gdb command that attaches to it, and wait
    #[arg(long, conflicts_with_all = ["list", "junit", "repeat"])]
    pub gdb: bool,

    /// The machine.
    #[command(flatten)]
    pub machine: Machine,
}
