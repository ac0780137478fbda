//! The command line as a person types it: what it answers, and with which status.

use std::process::{Command, Output};

fn xtask(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .args(words)
        .env_remove("KFIBER_CORE")
        .env_remove("NEXTEST");
    command.output().expect("the program starts")
}

#[track_caller]
fn refuses(words: &[&str], reason: &str) {
    let output = xtask(words);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{words:?} must fail");
    assert!(said.contains(reason), "`{reason}` is not in\n{said}");
}

#[track_caller]
fn answers(words: &[&str]) -> String {
    let output = xtask(words);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{words:?} failed:\n{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

#[test]
fn an_unknown_flag_is_refused() {
    refuses(
        &["qemu-test", "--frobnicate"],
        "unexpected argument '--frobnicate'",
    );
}

#[test]
fn an_unknown_machine_is_refused_with_the_known_ones() {
    refuses(
        &["qemu-test", "--machine", "vax"],
        "[possible values: q35, microvm, pc]",
    );
}

#[test]
fn an_unknown_whole_kernel_is_refused_with_the_known_ones() {
    refuses(
        &["demo", "--kernel", "lilo"],
        "[possible values: pvh, multiboot2, limine, uefi, bootloader]",
    );
}

#[test]
fn a_whole_kernel_with_one_core_gets_no_second_one() {
    refuses(
        &["demo", "--kernel", "uefi", "--smp", "2"],
        "the kernel `uefi` uses one core",
    );
}

#[test]
fn a_loader_that_no_package_has_must_be_named() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let folder = folder.path().to_str().expect("a plain name");
    refuses(
        &["demo", "--kernel", "limine", "--limine", folder],
        "there is no BOOTX64.EFI in",
    );
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    for words in [
        ["--smp", "0"],
        ["--timeout", "0"],
        ["--repeat", "0"],
        ["-j", "0"],
        ["--seed=-1", "-q"],
        ["--seed", "x"],
    ] {
        refuses(&["qemu-test", words[0], words[1]], "error: invalid value");
    }
}

#[test]
fn a_filter_that_matches_nothing_is_an_error() {
    refuses(
        &["qemu-test", "no_such_test"],
        "no test has a name with `no_such_test` in it",
    );
    refuses(
        &["qemu-test", "--list", "no_such_test"],
        "no test has a name with `no_such_test` in it",
    );
}

#[test]
fn one_filter_of_several_that_matches_nothing_is_an_error() {
    refuses(
        &["qemu-test", "--kernel", "liars", "honest", "no_such_test"],
        "`no_such_test`",
    );
}

#[test]
fn exact_wants_the_whole_name() {
    refuses(
        &["qemu-test", "--kernel", "liars", "--exact", "honest"],
        "no test is named `honest`",
    );
    let run = answers(&[
        "qemu-test",
        "--kernel",
        "liars",
        "--exact",
        "pass::is_honest",
    ]);
    assert!(
        run.contains("1 passed; 0 failed; 0 ignored; 0 measured; 32 filtered out"),
        "{run}"
    );
}

#[test]
fn skip_leaves_out_and_several_filters_add_up() {
    let words = [
        "qemu-test",
        "--kernel",
        "liars",
        "--list",
        "--format",
        "terse",
        "honest",
        "timeout::",
        "--skip",
        "silent",
    ];
    let list = answers(&words);
    let names: Vec<_> = list.lines().collect();
    assert_eq!(
        names,
        [
            "pass::is_honest: test",
            "timeout::halts: test",
            "timeout::leaves_a_kick_out: test",
            "timeout::passes_and_spins: test",
            "timeout::spins: test"
        ]
    );
}

#[test]
fn skipping_everything_that_was_asked_for_is_an_error() {
    refuses(
        &[
            "qemu-test",
            "--kernel",
            "liars",
            "honest",
            "--skip",
            "honest",
        ],
        "left out",
    );
}

#[test]
fn gdb_wants_exactly_one_test() {
    refuses(
        &["qemu-test", "--kernel", "liars", "--gdb", "pass::"],
        "--gdb needs exactly one test, and 3 are selected",
    );
}

#[test]
fn what_is_for_the_peers_alone_is_refused_without_them() {
    for option in ["--quick", "--check"] {
        refuses(&["bench", option], "--peers");
    }
    refuses(
        &["bench", "--peers", "--quick", "--update"],
        "cannot be used with",
    );
    refuses(
        &["bench", "--peers", "--listing", "switch"],
        "cannot be used with",
    );
}

#[test]
fn an_unknown_kernel_is_an_error_that_names_it() {
    refuses(
        &["qemu-test", "--kernel", "popcorn"],
        "building the kernel `popcorn` failed",
    );
}

#[test]
fn an_unknown_step_is_an_error_that_names_the_known_ones() {
    refuses(&["test", "cook"], "no step is named `cook`");
}

#[test]
fn a_failure_fails_the_command_and_says_how_to_rerun_it() {
    let output = xtask(&[
        "qemu-test",
        "--kernel",
        "liars",
        "--seed",
        "7",
        "--exact",
        "panic::panics",
        "fault::general_protection",
    ]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(101), "{said}");
    for words in [
        "0 passed; 2 failed;",
        "panic: panicked at",
        "run it again:  cargo xtask qemu-test --exact panic::panics --seed 7 --kernel liars\n",
        "in gdb:        cargo xtask qemu-test --exact panic::panics --seed 7 --kernel liars --gdb\n",
    ] {
        assert!(said.contains(words), "`{words}` is not in\n{said}");
    }
}

#[test]
fn junit_names_each_outcome() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("results.xml");
    let path = file.to_str().expect("a path");
    let words = [
        "qemu-test",
        "--kernel",
        "liars",
        "--junit",
        path,
        "--exact",
        "pass::is_honest",
        "panic::panics",
        "crash::triple_faults",
    ];
    assert_eq!(xtask(&words).status.code(), Some(101));
    let xml = std::fs::read_to_string(file).expect("the file was written");
    for words in [
        "tests=\"3\"",
        "name=\"pass::is_honest\"",
        "type=\"panic\"",
        "type=\"crash\"",
        "liars::crash::triple_fault",
    ] {
        assert!(xml.contains(words), "`{words}` is not in\n{xml}");
    }
}

#[test]
fn a_repeated_test_counts_each_time() {
    let run = answers(&[
        "qemu-test",
        "--kernel",
        "liars",
        "--repeat",
        "3",
        "--exact",
        "pass::is_honest",
    ]);
    assert!(run.contains("3 passed; 0 failed"), "{run}");
    assert!(run.contains("pass::is_honest (repeat 2)"), "{run}");
}

#[test]
fn nocapture_shows_what_a_passing_guest_says() {
    let words = [
        "qemu-test",
        "--kernel",
        "liars",
        "--exact",
        "pass::is_honest",
    ];
    assert!(!answers(&words).contains("@kfiber run"));
    assert!(
        answers(&[&words[..], &["--nocapture"]].concat())
            .contains("[pass::is_honest] @kfiber run pass::is_honest")
    );
}

#[test]
fn the_other_machines_boot_too() {
    for machine in ["microvm", "pc"] {
        let run = answers(&[
            "qemu-test",
            "--kernel",
            "liars",
            "--machine",
            machine,
            "--exact",
            "pass::is_honest",
        ]);
        assert!(run.contains("1 passed; 0 failed"), "{machine}: {run}");
    }
    answers(&[
        "qemu-test",
        "--kernel",
        "liars",
        "--smp",
        "2",
        "--exact",
        "pass::is_honest",
    ]);
}

#[test]
fn doctor_names_what_is_used() {
    let table = answers(&["doctor"]);
    for row in [
        "rustc",
        "cargo",
        "core by rustup",
        "core by the distribution",
        "QEMU",
        "gdb",
        "nextest",
        "Miri",
        ", used",
    ] {
        assert!(table.contains(row), "`{row}` is not in\n{table}");
    }
}
