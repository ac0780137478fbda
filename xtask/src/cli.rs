//! Every option once. The doc comments are the `--help`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use cargo_kfiber::options::{Accelerator, Machine, TestOptions};

/// Build, boot, test and look into kfiber
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
#[command(after_help = "\
If a command needs a package of the distribution, it installs it. On a terminal it asks first, unless KFIBER_INSTALL is yes \
or no.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Boot the demo kernel in QEMU and show it on the terminal
    Demo(Demo),
    /// Run all tests: those on this machine, then those in QEMU
    Test(Test),
    /// Run the tests of the bare machine, one virtual machine per test
    QemuTest(QemuTest),
    /// Make random switches in every kind of build: debug and release, with and without LTO, for speed and for size
    Matrix(Matrix),
    /// Prove the switch from its built bytes, for all contents of all registers
    Prove(Prove),
    /// Check backtraces at every instruction: by gdb, along rbp, and with unwind tables that are wrong on purpose
    Backtraces(Backtraces),
    /// Count the instructions of every operation, and compare them with the committed table
    Bench(Bench),
    /// Build the library from nothing, with the profiles of cargo, and print how long processors took
    CompileTime,
    /// Show how much of each stack a kernel uses, suggest its size, and compare it with the committed table
    Stacks(Stacks),
    /// Boot a kernel, or one of its tests, under a debugger that sees fibers as threads
    Gdb(Gdb),
    /// Show which tools this machine has, which are missing, and how they would be installed
    Doctor(Doctor),
    /// Run everything that continuous integration runs: formatting, lints, documentation, house rules and all tests
    Ci(Ci),
    /// Check the rules of CONTRIBUTING.md that no lint knows: order of the modules, first lines, lengths of files
    Tidy,
}

/// Where the bare-metal `core` library comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CoreSource {
    /// rustup's prebuilt target `x86_64-unknown-none`
    Rustup,
    /// The distribution's toolchain and library source, built with `-Zbuild-std`
    Distribution,
}

/// How kernels are built.
#[derive(Debug, Clone, Args)]
pub(crate) struct Build {
    /// Build with optimisations
    #[arg(long, help_heading = "Building")]
    pub(crate) release: bool,
    /// Use this source of the bare-metal `core`; by default rustup's if it is available, otherwise the distribution's
    #[arg(
        long,
        value_enum,
        env = "KFIBER_CORE",
        hide_env_values = true,
        help_heading = "Building"
    )]
    pub(crate) core: Option<CoreSource>,
}

/// Tests are listed from the kernel's ELF file; each runs in a virtual machine of its own.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A test passes only if the guest's last line says so, with the right name and count of lines, and QEMU ends with \
status 33. Everything else is one of: fail, panic, fault, timeout, crash.

The same tests under nextest: cargo nextest run --package xtask --test qemu")]
pub(crate) struct QemuTest {
    #[command(flatten)]
    pub(crate) tests: TestOptions,
    /// The test kernel: `suite`, to which `smp` with the tests of several cores belongs, or another binary of the crate
    /// `tests-qemu`, or `adapters`
    #[arg(long, value_name = "NAME", default_value = "suite")]
    pub(crate) kernel: String,
    /// Build the kernel with the feature `smp`, as if it needed several cores
    #[arg(long, help_heading = "Building")]
    pub(crate) with_smp: bool,

    #[command(flatten)]
    pub(crate) build: Build,
}

/// The command line of the test executable that `cargo nextest` runs.
#[derive(Debug, Parser)]
#[command(name = "qemu")]
pub(crate) struct Nextest {
    #[command(flatten)]
    pub(crate) options: QemuTest,
}

/// The steps run one after the other; one that fails does not hide the others.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Run only the steps of these names
    #[arg(value_name = "STEP")]
    pub(crate) steps: Vec<String>,
    /// Give random tests other seeds than the committed ones, and print them
    #[arg(long)]
    pub(crate) random: bool,
    #[command(flatten)]
    pub(crate) build: Build,
}

/// The steps run one after the other; one that fails does not hide the others.
#[derive(Debug, Args)]
pub(crate) struct Ci {
    /// Run only the steps of these names
    #[arg(value_name = "STEP")]
    pub(crate) steps: Vec<String>,
    /// Before a release: many times the rounds, all tests in every step, and random seeds
    #[arg(long)]
    pub(crate) long: bool,
    #[command(flatten)]
    pub(crate) build: Build,
    #[command(flatten)]
    pub(crate) loaders: Loaders,
}

/// The test suite is built in each way. Then one test makes the switches and checks all registers after each, and the quick
/// tests run. 100000000 switches take about half a minute in a release build, and more than a minute in a debug build.
#[derive(Debug, Args)]
pub(crate) struct Matrix {
    /// Randomised switches in each of the main builds; a tenth as many in the others
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(crate) rounds: u64,
    /// Make as many switches in the other builds too
    #[arg(long)]
    pub(crate) even: bool,
    /// Seed of the randomised tests [default: random, and printed]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u32>,
    /// Use this source of the bare-metal `core`; by default rustup's if it is available, otherwise the distribution's
    #[arg(long, value_enum, env = "KFIBER_CORE", hide_env_values = true)]
    pub(crate) core: Option<CoreSource>,
}

/// A whole kernel to copy, a folder of `kernels`: each is started by another loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WholeKernel {
    /// Started by QEMU itself, from its ELF file
    Pvh,
    /// Started by GRUB
    Multiboot2,
    /// Started by Limine
    Limine,
    /// Started by UEFI firmware, as an application
    Uefi,
    /// Started by the crate `bootloader`
    Bootloader,
}

/// Where loaders are that no package has.
#[derive(Debug, Clone, Args)]
pub(crate) struct Loaders {
    /// Folder with Limine's BOOTX64.EFI, which no package has; its releases have it
    #[arg(
        long,
        value_name = "FOLDER",
        env = "LIMINE",
        hide_env_values = true,
        help_heading = "Loaders"
    )]
    pub(crate) limine: Option<PathBuf>,
}

/// On a terminal the serial port is yours: Ctrl-A X ends QEMU, Ctrl-A H lists its other keys.
#[derive(Debug, Parser)]
pub(crate) struct Demo {
    /// Boot one of the whole kernels to copy, a folder of `kernels`, instead of the demo kernel
    #[arg(long, value_enum, value_name = "NAME", conflicts_with_all = ["record", "machine"])]
    pub(crate) kernel: Option<WholeKernel>,
    /// If this is not a terminal, fail if the demo has not ended within this time
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) timeout: u32,
    /// Play the demo's script, and write what it prints to FILE as an animated SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Play another script with the flight recorder on, and write a trace for Perfetto to FILE, or
    /// what `cargo kfiber trace` reads if FILE ends in .log
    #[arg(long, value_name = "FILE", conflicts_with_all = ["record", "kernel"])]
    pub(crate) trace: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) machine: Machine,
    #[command(flatten)]
    pub(crate) build: Build,
    #[command(flatten)]
    pub(crate) loaders: Loaders,
}

/// The kernel `bench` runs in QEMU, where the time-stamp counter advances by one for each instruction. The figures must equal
/// those of docs/instructions.md if the compiler is the same.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Write the figures to docs/instructions.md, or those of --peers to the files of this kind of processor in docs/peers
    #[arg(long, conflicts_with = "strict")]
    pub(crate) update: bool,
    /// Fail on any difference, even if another compiler than the table's made it
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print the instructions of one operation in the order in which they run, and compare nothing
    #[arg(long, value_name = "OPERATION")]
    pub(crate) listing: Option<String>,
    /// Instead, time kfiber beside other switches (corosensei, Boost.Context, wasmtime's fibers, generator, ucontext) on this
    /// machine. It takes some minutes, and should be run on an idle machine
    #[arg(long, conflicts_with_all = ["strict", "listing"], help_heading = "Peers")]
    pub(crate) peers: bool,
    /// Take half a minute only: one build and one process with few repetitions, which show large differences
    #[arg(
        long,
        requires = "peers",
        conflicts_with = "update",
        help_heading = "Peers"
    )]
    pub(crate) quick: bool,
    /// Fail if an aim is missed, instead of only naming it
    #[arg(long, requires = "peers", help_heading = "Peers")]
    pub(crate) check: bool,
    /// Use this source of the bare-metal `core`; by default rustup's if it is available, otherwise the distribution's
    #[arg(long, value_enum, env = "KFIBER_CORE", hide_env_values = true)]
    pub(crate) core: Option<CoreSource>,
}

/// The kernel is built for release and runs under `-icount`, where each run is the same. At its end it prints its high-water
/// marks with `tests_qemu::stacks::print`. Only the demo has a committed table, docs/stacks.md.
#[derive(Debug, Args)]
pub(crate) struct Stacks {
    /// The kernel, a binary of the crate `tests-qemu`, or `adapters`
    #[arg(long, value_name = "NAME", default_value = "demo")]
    pub(crate) kernel: String,
    /// Of a kernel of tests, the test to run
    #[arg(long, value_name = "NAME", requires = "kernel")]
    pub(crate) test: Option<String>,
    /// Write the figures to docs/stacks.md
    #[arg(long, conflicts_with_all = ["kernel", "test"])]
    pub(crate) update: bool,
    /// Use this source of the bare-metal `core`; by default rustup's if it is available, otherwise the distribution's
    #[arg(long, value_enum, env = "KFIBER_CORE", hide_env_values = true)]
    pub(crate) core: Option<CoreSource>,
}

/// A debugger that `gdb` can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Debugger {
    /// The debugger of GNU
    Gdb,
    /// The debugger of LLVM
    Lldb,
}

/// The kernel is built, QEMU waits with it before its first instruction, and the debugger is started with a bridge between the
/// two. `info threads` (in LLDB `thread list`) then shows the fibers too, by name; `thread apply all bt` works. What the kernel
/// prints has a bar in front. docs/debugging.md has more, also about VS Code.
#[derive(Debug, Args)]
pub(crate) struct Gdb {
    /// The kernel, a binary of the crate `tests-qemu`, or `adapters`; with a slash and a name, one of its tests
    #[arg(value_name = "KERNEL[/TEST]", default_value = "demo")]
    pub(crate) target: String,
    /// The debugger
    #[arg(long, value_enum, default_value = "gdb")]
    pub(crate) debugger: Debugger,
    /// Start no debugger, but say where one can connect, such as VS Code
    #[arg(long, conflicts_with = "debugger")]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) machine: Machine,
    #[command(flatten)]
    pub(crate) build: Build,
}

/// Without --fix, nothing is installed or changed. On a terminal, --fix asks first, unless `KFIBER_INSTALL` is `yes` or `no`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Install what is missing
    #[arg(long)]
    pub(crate) fix: bool,
    /// Check only this source of the bare-metal `core`
    #[arg(long, value_enum, env = "KFIBER_CORE", hide_env_values = true)]
    pub(crate) core: Option<CoreSource>,
}

/// The program `specimen` is built for the bare machine and for the host, in debug and in release, and its bytes are proved.
/// Then thousands of small errors are planted in these bytes, and the proof must notice each.
#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// Print the assembly as it was built, with instruction counts, and prove nothing
    #[arg(long)]
    pub(crate) listing: bool,
    /// Use this source of the bare-metal `core`; by default rustup's if it is available, otherwise the distribution's
    #[arg(long, value_enum, env = "KFIBER_CORE", hide_env_values = true)]
    pub(crate) core: Option<CoreSource>,
}

/// The DWARF unwinder's own walk, in a stock kernel, is part of the tests in QEMU.
#[derive(Debug, Args)]
pub(crate) struct Backtraces {
    /// Run only these steps
    #[arg(value_name = "STEP")]
    pub(crate) steps: Vec<String>,
    /// Use this source of the bare-metal `core`; by default rustup's if it is available, otherwise the distribution's
    #[arg(long, value_enum, env = "KFIBER_CORE", hide_env_values = true)]
    pub(crate) core: Option<CoreSource>,
}
