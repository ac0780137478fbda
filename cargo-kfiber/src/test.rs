//! The command `test`: runs the tests of a kernel, each in a virtual machine of its own.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::console;
use crate::machine::Loader;
use crate::options::TestOptions;
use crate::program;
use crate::project::{Kernel, Project};
use crate::qemu_test::origin::{AskedBy, Origin};
use crate::qemu_test::runner::Runner;
use crate::qemu_test::verdict::LineCount;
use crate::qemu_test::{self, random_seed};

/// Run the tests of a kernel, each in a virtual machine of its own
///
/// Builds the kernels of this package, or takes the one that --kernel names, lists their tests without booting anything, and boots
/// one machine for each test, several at a time. The kernel needs the crate `kfiber-test` and three calls; see its documentation.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A test passes only if the kernel's last line says so, with the right name, and QEMU ends with status 33. Everything else is one \
of: fail, panic, fault, timeout, crash. A crash is run again with QEMU's log of interrupts, to say what it was.

QEMU starts the kernel from its ELF file. For another loader name a program in Cargo.toml:

  [package.metadata.kfiber]
  run = \"./run.sh\"       # gets the kernel's file and words for QEMU; needs -serial on its standard output,
                         # -device isa-debug-exit,iobase=0xf4,iosize=0x04 and -no-reboot
  qemu = \"-m 256M\"       # more words for QEMU
  timeout = 60           # seconds, for tests that name no time of their own

As a runner of cargo, in .cargo/config.toml: runner = \"cargo kfiber test --kernel\"

Exit status: 0 if all tests passed, 101 if one did not, 1 if the tests could not be run.")]
pub struct Options {
    #[command(flatten)]
    tests: TestOptions,
    /// Do not build: run the tests of this ELF file
    #[arg(long, value_name = "ELF", help_heading = "Building")]
    kernel: Option<PathBuf>,
    /// Build with optimisations
    #[arg(long, help_heading = "Building", conflicts_with = "kernel")]
    release: bool,
    /// More words for `cargo build`, for instance "--features smp"
    #[arg(
        long,
        value_name = "WORDS",
        help_heading = "Building",
        conflicts_with = "kernel",
        allow_hyphen_values = true
    )]
    build: Option<String>,
}

impl Options {
    /// The words that choose the kernel.
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(kernel) = &self.kernel {
            words.extend(["--kernel".to_owned(), kernel.to_string_lossy().into_owned()]);
        }
        if self.release {
            words.push("--release".to_owned());
        }
        if let Some(build) = &self.build {
            words.extend(["--build".to_owned(), build.clone()]);
        }
        words
    }
}

/// Runs the command; true if no test failed.
///
/// # Errors
///
/// Fails if QEMU is missing, if there is no kernel with tests, and if no test is selected.
pub fn run(options: &Options) -> Result<bool> {
    let project = Project::here().context("no kernel: go to the folder of its package")?;
    let kernels = if let Some(file) = &options.kernel {
        vec![project.kernel(file)?]
    } else {
        let release = options.release.then(|| "--release".to_owned());
        let words = options
            .build
            .iter()
            .flat_map(|text| text.split_whitespace());
        let words: Vec<_> = release
            .into_iter()
            .chain(words.map(str::to_owned))
            .collect();
        project.build(&words)?
    };
    let runners = kernels
        .into_iter()
        .map(|kernel| runner(options, &project, kernel))
        .collect::<Result<Vec<_>>>()?;
    let seed = options.tests.seed.unwrap_or_else(random_seed);
    let conclusion = qemu_test::run(&options.tests, runners, seed, || {
        console::say(format!("seed {seed}"));
    })?;
    Ok(conclusion.is_none_or(|conclusion| !conclusion.has_failed()))
}

fn runner(options: &Options, project: &Project, kernel: Kernel) -> Result<Runner> {
    // The loader's program finds QEMU by itself.
    let program = match kernel.settings.loader {
        Loader::Qemu if !options.tests.list => program::qemu()?,
        Loader::Qemu | Loader::Program(_) => PathBuf::from(program::QEMU),
    };
    if !kernel.file.is_file() {
        bail!("there is no kernel at {}", kernel.file.display());
    }
    let origin = Origin {
        name: kernel.name,
        root: project.root.clone(),
        logs: project.target_directory.join("kfiber-test"),
        command: "cargo kfiber test".to_owned(),
        words: options.words(),
        loader: kernel.settings.loader,
        qemu: kernel.settings.qemu,
        asked_by: AskedBy::Device,
        line_count: LineCount::Optional,
        lets_fibers_fail: false,
        deadline: kernel.settings.deadline,
    };
    Ok(Runner::new(&options.tests, program, kernel.file, origin))
}
