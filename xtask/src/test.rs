//! The verb `test`: the table of all tests, and its one line of counts.

use anyhow::Result;
use clap::Parser as _;

use crate::cli::{Build, Nextest, Prove, Test};
use crate::host_tests::{explore, loom};
use crate::seeds::Seeds;
use crate::steps::{self, Counts, Step};
use crate::{backtraces, debugger, demo, host_tests, prove, qemu_test, workspace};

/// Everything, in this order. A new kind of proof is a new line here.
const STEPS: &[Step<Test>] = &[
    Step {
        name: "host",
        help: "the library's tests on this machine, those in its documentation too",
        run: |test| host_tests::run(&["--package", "kfiber"], &test.build, test.seeds()),
    },
    Step {
        name: "cores",
        help: "several cores in one scheduler, and one core with the feature for several",
        run: |test| {
            let words = [
                "--package",
                "kfiber",
                "--features",
                "smp",
                "--test",
                "smp",
                "--test",
                "sync",
                "--test",
                "stall",
                "--test",
                "scheduler_model",
                "--test",
                "scheduler_misuse",
                "--test",
                "failures",
                "--test",
                "model",
                "--test",
                "auto_traits",
            ];
            host_tests::run(&words, &test.build, test.seeds())
        },
    },
    Step {
        name: "loom",
        help: "what is lock-free in the scheduler, in all interleavings with up to three preemptions",
        run: |_| loom::models(),
    },
    Step {
        name: "explore",
        help: "a hundred thousand random schedules of the scheduler and of all that fibers wait for; three thousand of several cores, and mistakes planted there",
        run: |test| explore::schedules(test.seeds()),
    },
    Step {
        name: "xtask",
        help: "the test runner's own tests; kernels that misbehave must be reported as what they are",
        run: |test| host_tests::run(&["--package", "xtask"], &test.build, test.seeds()),
    },
    Step {
        name: "prove",
        help: "the proof of the switch from its built bytes, and the errors that it must notice",
        run: |test| {
            let options = Prove {
                listing: false,
                core: test.build.core,
            };
            prove::verb(&options).map(Counts::from_success)
        },
    },
    Step {
        name: "qemu",
        help: "the tests on the bare machine, one virtual machine each",
        run: |test| in_qemu(&[], &test.build, test.seeds()),
    },
    Step {
        name: "adapters",
        help: "the adapters to the field's other crates: on this machine, and their kernel in QEMU",
        run: adapters,
    },
    Step {
        name: "demo",
        help: "the demo kernel plays its script to the end",
        run: |test| demo::test(&test.build),
    },
    Step {
        name: "demo-cores",
        help: "the demo kernel plays its script to the end on four cores",
        run: |test| demo::test_cores(&test.build),
    },
    Step {
        name: "demo-trace",
        help: "a trace of the demo agrees with what the demo has counted, on one core and on four",
        run: |test| demo::test_trace(&test.build),
    },
    Step {
        name: "traced",
        help: "the flight recorder: on this machine, and in QEMU on one core and on several",
        run: traced,
    },
    Step {
        name: "demo-keys",
        help: "the demo's shell does what Ctrl-C and Ctrl-D ask for",
        run: |test| demo::test_keys(&test.build),
    },
    Step {
        name: "backtraces",
        help: "gdb and the walk along rbp at every instruction of a switch, and the errors they must notice",
        run: |test| backtraces::run(test.build.core),
    },
    Step {
        name: "debugger",
        help: "the commands for gdb in a kernel, in a core dump of it, and in a program of this machine",
        run: |test| debugger::check(&test.build),
    },
];

/// The steps, for `--help`.
pub(crate) fn help() -> String {
    steps::help(STEPS)
}

/// Runs the verb; true if nothing failed. The last line it prints are the counts.
pub(crate) fn verb(options: &Test) -> Result<bool> {
    let counts = steps::run(STEPS, &options.steps, options)?;
    println!("{}", counts.line());
    Ok(counts.failed == 0)
}

/// Runs every step; for the verbs that contain this one.
pub(crate) fn all(options: &Test) -> Result<Counts> {
    steps::run(STEPS, &[], options)
}

impl Test {
    const fn seeds(&self) -> Seeds {
        Seeds::new(self.random)
    }
}

/// The tests in QEMU with these words of `qemu-test`'s command line.
pub(crate) fn in_qemu(words: &[&str], build: &Build, seeds: Seeds) -> Result<Counts> {
    let words = ["qemu-test"].iter().chain(words);
    let mut options = Nextest::parse_from(words).options;
    options.build = build.clone();
    options.tests.seed = Some(seeds.in_qemu());
    let conclusion = qemu_test::counts(&options)?;
    Ok(Counts {
        passed: conclusion.num_passed,
        failed: conclusion.num_failed,
        skipped: conclusion.num_ignored,
    })
}

fn traced(test: &Test) -> Result<Counts> {
    let words = [
        "--package",
        "kfiber",
        "--features",
        "trace",
        "--test",
        "trace",
    ];
    let mut counts = host_tests::run(&words, &test.build, test.seeds())?;
    for words in [
        &["--kernel", "traced"][..],
        &["--kernel", "traced", "--with-smp"],
    ] {
        counts = counts.plus(in_qemu(words, &test.build, test.seeds())?);
    }
    Ok(counts)
}

fn adapters(test: &Test) -> Result<Counts> {
    let words = workspace::adapters_as_words()?;
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let counts = host_tests::run(&words, &test.build, test.seeds())?;
    let in_qemu = in_qemu(&["--kernel", "adapters"], &test.build, test.seeds())?;
    Ok(counts.plus(in_qemu))
}
