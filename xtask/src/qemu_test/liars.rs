//! The harness' own test: kernels that misbehave on purpose must be reported as what they are.

use std::sync::Mutex;
use std::thread;

use cargo_kfiber::qemu_test::report;
use cargo_kfiber::qemu_test::runner::Runner;
use cargo_kfiber::qemu_test::verdict::Outcome;
use clap::Parser as _;

use crate::cli::Nextest;
use crate::kernel::elf::TestCase;
use crate::kernel::{cargo, elf};
use crate::setup;

/// The outcome of each test of the kernel `liars`, and words that must be in what a person reads about it.
const EXPECTED: &[(&str, &[&str])] = &[
    ("pass::is_honest", &[]),
    ("pass::floods_the_port", &[]),
    ("pass::leaves_a_line_unfinished", &[]),
    (
        "fail::returns_instead_of_panicking",
        &["returned, but was to panic with `never said`"],
    ),
    (
        "fail::returns_instead_of_faulting",
        &["returned, but was to end in #UD"],
    ),
    (
        "fail::runs_nothing_and_exits_with_success",
        &["status of success, but the guest's only line"],
    ),
    (
        "fail::is_silent_and_exits_with_success",
        &["status of success, but the guest said nothing at all"],
    ),
    (
        "fail::loses_a_line",
        &["the guest sent 3 lines before the last one and 2 arrived"],
    ),
    (
        "fail::invents_a_line",
        &["the guest sent 1 lines before the last one and 2 arrived"],
    ),
    (
        "fail::passes_with_the_status_of_failure",
        &["the guest said `pass`, but ended with the status of failure"],
    ),
    (
        "fail::says_nothing_and_exits_with_failure",
        &["without saying why"],
    ),
    (
        "fail::passes_in_the_name_of_another",
        &["it is `fail::another` that passed"],
    ),
    (
        "fail::fails_and_then_passes",
        &["the guest also said `fail it did not work`"],
    ),
    (
        "fail::goes_on_after_passing",
        &["came after its last line", "and another thing"],
    ),
    ("panic::panics", &["panicked at", "liars/panic.rs:"]),
    (
        "panic::panics_with_another_message",
        &["panicked at", "liars/panic.rs:"],
    ),
    (
        "panic::panics_instead_of_faulting",
        &["panicked at", "liars/panic.rs:"],
    ),
    (
        "panic::panics_in_several_lines",
        &[
            "panicked at",
            "first line\n    @kfiber pass",
            "liars/panic.rs:20\n",
        ],
    ),
    (
        "panic::panics_while_panicking",
        &["panicked while reporting a panic"],
    ),
    (
        "fault::general_protection",
        &[
            "#GP",
            "is liars::fault::read_non_canonical_address+",
            "liars/fault.rs:",
        ],
    ),
    (
        "fault::reads_in_a_function_of_core",
        &[
            "#PF",
            "called by liars::fault::read_by_core+",
            "liars/fault.rs:",
        ],
    ),
    (
        "fault::overflows_the_stack",
        &["#PF", "is liars::fault::recurse+", "liars/fault.rs:"],
    ),
    (
        "fault::faults_instead_of_panicking",
        &["#UD", "is liars::fault::raise_invalid_opcode+"],
    ),
    (
        "fault::raises_another_exception",
        &["#UD", "is liars::fault::raise_invalid_opcode+"],
    ),
    (
        "timeout::spins",
        &[
            "not ended after",
            "last line is `@kfiber run timeout::spins`",
            "core 0 runs at ",
            "liars/timeout.rs:",
        ],
    ),
    (
        "timeout::halts",
        &[
            "not ended after",
            "last line is `@kfiber run timeout::halts`",
            "core 0 sleeps at ",
        ],
    ),
    (
        "timeout::leaves_a_kick_out",
        &["not ended after", "core 0 sleeps at ", "core 1 sleeps at "],
    ),
    ("timeout::is_silent_and_spins", &["wrote nothing at all"]),
    (
        "timeout::passes_and_spins",
        &[
            "not ended after",
            "had said `pass timeout::passes_and_spins",
        ],
    ),
    (
        "crash::triple_faults",
        &[
            "triple fault: #UD (invalid opcode) in liars::crash::triple_fault+",
            "liars/crash.rs:",
        ],
    ),
    (
        "crash::says_ok_and_triple_faults",
        &[
            "triple fault: #UD",
            "liars::crash::triple_fault+",
            "had said `pass",
        ],
    ),
    (
        "crash::exits_with_status_1",
        &["QEMU itself failed with status 1"],
    ),
    (
        "crash::passes_and_exits_with_status_1",
        &["status 1, after the guest had said `pass"],
    ),
];

fn runner(words: &[&str]) -> Runner {
    let options =
        Nextest::parse_from([&["qemu-test", "--kernel", "liars"], words].concat()).options;
    let kernel = cargo::build_kernel(&options.kernel, &options.build).expect("the kernel is built");
    let program = setup::qemu::ensure().expect("QEMU is there");
    let origin = super::origin(&options, options.kernel.clone()).expect("a target folder");
    Runner::new(&options.tests, program, kernel, origin)
}

#[test]
fn every_liar_is_reported_as_what_it_is() {
    let runner = runner(&[]);
    let tests = elf::tests(&runner.kernel).expect("the kernel has tests");
    let names: Vec<_> = tests.iter().map(|test| &*test.name).collect();
    let mut expected: Vec<_> = EXPECTED.iter().map(|(name, _)| *name).collect();
    expected.sort_unstable();
    assert_eq!(
        names, expected,
        "the table and the kernel name the same tests"
    );
    // Two at a time: those that hang until their deadline leave most of the time to the others.
    let queue = Mutex::new(tests.iter());
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(test) = next(&queue) {
                    wrong
                        .lock()
                        .expect("no panic")
                        .extend(complaints(&runner, test));
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn next<'tests>(queue: &Mutex<impl Iterator<Item = &'tests TestCase>>) -> Option<&'tests TestCase> {
    queue.lock().expect("no panic").next()
}

fn complaints(runner: &Runner, test: &TestCase) -> Vec<String> {
    let finished = runner.run(test, 1).expect("the machine runs");
    let outcome = finished.verdict.outcome;
    let text = report::failure(runner, test, 1, &finished);
    let (promised, _) = test.name.split_once("::").expect("a module and a name");
    let (_, words) = EXPECTED
        .iter()
        .find(|(name, _)| *name == test.name)
        .expect("in the table");
    let mut complaints = Vec::new();
    if outcome.to_string() != promised {
        complaints.push(format!("{} is reported as {outcome}\n{text}", test.name));
    }
    for word in words.iter().filter(|word| !text.contains(**word)) {
        complaints.push(format!("{}: `{word}` is not in\n{text}", test.name));
    }
    complaints
}

#[test]
fn a_file_that_is_no_kernel_is_a_crash_with_qemus_own_words() {
    let mut runner = runner(&[]);
    let test = elf::tests(&runner.kernel)
        .expect("the kernel has tests")
        .remove(0);
    runner.kernel = crate::workspace::root().join("Cargo.toml");
    let finished = runner.run(&test, 1).expect("QEMU starts");
    assert_eq!(finished.verdict.outcome, Outcome::Crash);
    assert!(
        !finished.run.stderr.trim().is_empty(),
        "QEMU says why: {finished:?}"
    );
}
