//! A kernel outside of the tree gets tests as a user would add them, and `cargo kfiber test` runs them.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::Kernel;
use crate::cli::WholeKernel;
use crate::kernel::cargo;
use crate::steps::Counts;
use crate::{console, workspace};

/// What a user adds: the file, the words before which it stands, and its own words.
const LINES: [(&str, &str, &str); 4] = [
    (
        "src/kernel.rs",
        "    let fibers: [(_, _, fn()); 3]",
        "    kfiber_test::run_if_asked(|line| _ = LOG.print(line));\n",
    ),
    (
        "src/kernel.rs",
        // Behind `fiber_panicked`: a test may let fibers fail.
        "    println!(\"kernel: {info}",
        "    kfiber_test::panicked(info);\n",
    ),
    (
        "src/machine.rs",
        "    println!(\"kernel: exception ",
        "    kfiber_test::faulted(frame.vector, frame.rip, format_args!(\"{frame}\"));\n",
    ),
    ("src/main.rs", "mod machine;\n", "mod tests;\n"),
];

/// The tests, of which the ignored ones are wrong.
const TESTS: &str = r##"//! Tests of this kernel.

use core::time::Duration;

use kfiber::scheduler::{self, FiberCell};

use crate::kernel::SCHEDULER;

kfiber_test::kernel_test! {
    fn a_fiber_sleeps() {
        static CELL: FiberCell<{ 32 * 1024 }> = FiberCell::new();
        let fiber = SCHEDULER.spawn(&CELL, || {
            scheduler::sleep(Duration::from_millis(10)).expect("nobody cancels it");
            42
        });
        let fiber = fiber.expect("the cell is free");
        SCHEDULER.run();
        assert_eq!(fiber.try_join().expect("it has ended"), 42);
    }

    fn a_panic_is_promised() panics("on purpose") { panic!("it is on purpose"); }

    fn a_fault_is_promised() faults("#UD") {
        // SAFETY: the exception ends the run.
        unsafe { core::arch::asm!("ud2") };
    }

    fn the_seed_arrives() { assert_eq!(kfiber_test::request::seed(), 17); }

    fn a_fiber_that_fails_may_be_meant() fibers_may_fail { fail_in_a_fiber(); }

    fn it_is_wrong() ignored { assert_eq!(1 + 1, 3); }

    fn a_fiber_is_wrong() ignored { fail_in_a_fiber(); }

    fn it_faults() ignored {
        // SAFETY: the exception ends the run.
        unsafe { core::arch::asm!("ud2") };
    }
}

/// Nobody joins the fiber, so nothing but the report says that it failed.
fn fail_in_a_fiber() {
    static CELL: FiberCell<{ 32 * 1024 }> = FiberCell::new();
    let fiber = SCHEDULER.spawn(&CELL, || assert_eq!(1 + 1, 3));
    fiber.expect("the cell is free").detach();
    SCHEDULER.run();
}
"##;
/// How many of them pass, and how many do not.
const PASS: u64 = 5;
const FAIL: u64 = 3;
/// The status of the command after tests that failed.
const FAILED: i32 = 101;
/// What is said of those that do not.
const SAID: [&str; 4] = [
    "fail: the test passed, but a fiber failed: fiber \"",
    "panic: panicked at src/tests.rs:",
    "fault: CPU exception #UD",
    "cargo kfiber test --exact tests::it_faults --seed 17 --kernel ",
];

/// Adds tests to a copy, and runs them by the command that users install.
pub(super) fn step(copy: &Kernel) -> Result<Counts> {
    add(&copy.folder, copy.kind)?;
    let mut build = Command::new("cargo");
    build
        .current_dir(workspace::root())
        .args(["build", "--package", "cargo-kfiber"])
        .arg("--message-format=json-render-diagnostics");
    let program = cargo::executable_of(&mut build, "cargo-kfiber")?;
    let program = program.context("cargo built no cargo-kfiber")?;
    let folder = program.parent().context("a program is in a folder")?;
    let (good, succeeded) = run(copy, folder, &["--seed", "17"])?;
    let (wrong, status) = run(copy, folder, &["--seed", "17", "--ignored"])?;
    let mut counts = Counts::default();
    let mut expect = |is_right: bool, what: &str, said: &str| {
        if !is_right {
            console::loud(format!("{what} is not in what was said:\n{said}"));
        }
        counts = counts.plus(Counts::from_success(is_right));
    };
    let passed = format!("test result: ok. {PASS} passed; 0 failed; {FAIL} ignored;");
    expect(good.contains(&passed), &passed, &good);
    for said in SAID {
        expect(wrong.contains(said), said, &wrong);
    }
    let failed = format!("test result: FAILED. 0 passed; {FAIL} failed; 0 ignored;");
    expect(wrong.contains(&failed), &failed, &wrong);
    expect(succeeded == Some(0), "the status 0", &good);
    expect(status == Some(FAILED), "the status of failed tests", &wrong);
    Ok(counts)
}

/// Runs the tests as `cargo run` does with a runner, and returns what it said and its status.
fn run(copy: &Kernel, folder: &Path, words: &[&str]) -> Result<(String, Option<i32>)> {
    let mut command = copy.cargo("run")?;
    let path = env::var_os("PATH").unwrap_or_default();
    let path = [OsString::from(folder), path].join(&OsString::from(":"));
    command
        .args(["--quiet", "--"])
        .args(words)
        .env("PATH", path)
        .env(
            "CARGO_TARGET_X86_64_UNKNOWN_NONE_RUNNER",
            "cargo kfiber test --kernel",
        );
    let name = copy.kind.name();
    console::say(format!(
        "`cargo kfiber test {}` in the copy of `{name}`",
        words.join(" ")
    ));
    let output = command.output().context("cannot start cargo")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = said + &String::from_utf8_lossy(&output.stderr);
    Ok((said, output.status.code()))
}

/// Adds the lines of a user to a copy.
fn add(folder: &Path, kind: WholeKernel) -> Result<()> {
    for (file, before, line) in LINES {
        let file = folder.join(file);
        let text = fs::read_to_string(&file)?;
        ensure!(
            text.matches(before).count() == 1,
            "{} does not contain `{before}` once",
            file.display()
        );
        fs::write(&file, text.replace(before, &format!("{line}{before}")))?;
    }
    fs::write(folder.join("src/tests.rs"), TESTS)?;
    let manifest = folder.join("Cargo.toml");
    let crate_of_tests = workspace::root().join("kfiber-test");
    let dependency = format!("[dependencies]\nkfiber-test = {{ path = {crate_of_tests:?} }}\n");
    let mut text = fs::read_to_string(&manifest)?.replacen("[dependencies]\n", &dependency, 1);
    if kind != WholeKernel::Pvh {
        text += "\n[package.metadata.kfiber]\nrun = \"./run.sh\"\ntimeout = 120\n";
    }
    fs::write(&manifest, text)?;
    Ok(())
}
