//! Bodies of tests in processes of their own, which end when they hang.

use core::any::type_name;
use core::time::Duration;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio, exit};
use std::{env, thread};

/// Set in the process that plays the body.
const INSIDE: &str = "KFIBER_TEST_MODEL_INSIDE";
/// No test takes a hundredth of it.
const PATIENCE: Duration = Duration::from_secs(60);
const SIGABRT: i32 = 6;

/// How a body ended.
#[derive(Debug)]
pub(crate) struct End {
    status: ExitStatus,
    errors: String,
}

/// Plays `body`, which is a closure of the test that calls this, in a process of its own.
pub(crate) fn run<F: FnOnce()>(body: F) -> End {
    if env::var_os(INSIDE).is_some() {
        thread::spawn(|| {
            thread::sleep(PATIENCE);
            eprintln!("it hangs");
            exit(1);
        });
        body();
        exit(0);
    }
    // As `model::guards::the_name_of_the_test::{{closure}}`.
    let name = type_name::<F>();
    let (_, name) = name.split_once("::").expect("the crate");
    let (name, _) = name.rsplit_once("::").expect("the closure");
    let output = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output()
        .expect("this program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("running 1 test"),
        "no such test: {name}\n{text}"
    );
    End {
        status: output.status,
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The same, for a body that must come to its end.
#[track_caller]
pub(crate) fn passes<F: FnOnce()>(body: F) {
    let End { status, errors } = run(body);
    assert!(status.success(), "{status}\n{errors}");
}

/// The same, for a body in which the process is ended on purpose, with a sentence that has these words.
#[track_caller]
pub(crate) fn aborts<F: FnOnce()>(words: &[&str], body: F) {
    let End { status, errors } = run(body);
    assert_eq!(status.signal(), Some(SIGABRT), "{status}\n{errors}");
    super::assert_names(&errors, words);
}
