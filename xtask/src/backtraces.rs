//! The verb `backtraces`: what gdb and a walk along rbp find at every instruction, and proof that both would notice.

mod controls;
mod gdb;
mod suite;
mod tables;

use anyhow::Result;

use suite::{KERNEL, options};

use crate::cli::{Backtraces, Build, CoreSource};
use crate::kernel::cargo;
use crate::qemu_test;
use crate::steps::{self, Counts, Step};

const STEPS: &[Step<Option<CoreSource>>] = &[
    Step {
        name: "gdb",
        help: "gdb's backtraces of running, suspended and new fibers, and at each instruction of a switch",
        run: |core| both_profiles(*core, gdb::check),
    },
    Step {
        name: "rbp",
        help: "the plain walk along rbp, at each instruction, in kernels with frame pointers",
        run: |core| both_profiles(*core, along_rbp),
    },
    Step {
        name: "controls",
        help: "wrong unwind tables, each of which gdb, the unwinder in the kernel, or both must notice",
        run: |core| controls::check(*core),
    },
];

/// The steps, for `--help`.
pub(crate) fn help() -> String {
    steps::help(STEPS)
}

/// Runs the verb; true if nothing failed.
pub(crate) fn verb(options: &Backtraces) -> Result<bool> {
    let counts = steps::run(STEPS, &options.steps, &options.core)?;
    println!("{}", counts.line());
    Ok(counts.failed == 0)
}

/// Runs all steps, for the verbs that contain this one.
pub(crate) fn run(core: Option<CoreSource>) -> Result<Counts> {
    steps::run(STEPS, &[], &core)
}

fn both_profiles(core: Option<CoreSource>, check: fn(&Build) -> Result<Counts>) -> Result<Counts> {
    let mut counts = Counts::default();
    for release in [false, true] {
        counts = counts.plus(check(&Build { release, core })?);
    }
    Ok(counts)
}

fn along_rbp(build: &Build) -> Result<Counts> {
    let kernel = cargo::build_kernel_with_frame_pointers(KERNEL, build)?;
    let mut options = options(&[
        "this_kernel_has_frame_pointers",
        "is_exact_at_every_instruction",
    ]);
    options.build = build.clone();
    let conclusion = qemu_test::counts_of(&options, kernel)?;
    Ok(Counts {
        passed: conclusion.num_passed,
        failed: conclusion.num_failed,
        skipped: conclusion.num_ignored,
    })
}
