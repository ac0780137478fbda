//! Every way to look successful without being so.

use std::time::Duration;

use super::*;

const NAME: &str = "stack::fits";
const SUCCESS: End = End::Status(33);
const FAILURE: End = End::Status(35);

fn outcome(serial: &str, end: End) -> Outcome {
    judge(NAME, serial.as_bytes(), end).outcome
}

#[track_caller]
fn is(serial: &str, end: End, outcome: Outcome, reason: &str) {
    let verdict = judge(NAME, serial.as_bytes(), end);
    assert_eq!(verdict.outcome, outcome, "{}", verdict.reason);
    assert!(
        verdict.reason.contains(reason),
        "`{reason}` is not in `{}`",
        verdict.reason
    );
}

const HONEST: &str = "@kfiber run stack::fits\nfree text\n@kfiber pass stack::fits lines=2\n";

#[test]
fn the_final_line_and_the_status_together_are_a_pass() {
    is(HONEST, SUCCESS, Outcome::Pass, "");
}

#[test]
fn a_kernel_that_does_not_count_its_lines_passes_by_its_words_and_its_status() {
    let serial = "firmware\r\n@kfiber run stack::fits\n\n@kfiber pass stack::fits\n\r\n";
    let judged = |serial: &str, end| judge_by(LineCount::Optional, NAME, serial.as_bytes(), end);
    assert_eq!(judged(serial, SUCCESS).outcome, Outcome::Pass);
    for (wrong, end) in [
        (serial.replace("pass stack::fits", "pass another"), SUCCESS),
        (
            serial.replace("pass stack::fits", "pass stack::fits lines=1"),
            SUCCESS,
        ),
        (serial.replace("@kfiber pass", "pass"), SUCCESS),
        (format!("{serial}more"), SUCCESS),
        (serial.to_owned(), FAILURE),
    ] {
        assert_ne!(judged(&wrong, end).outcome, Outcome::Pass, "{wrong:?}");
    }
    is(serial, SUCCESS, Outcome::Fail, "no count of lines");
}

#[test]
fn carriage_returns_do_not_matter() {
    is(&HONEST.replace('\n', "\r\n"), SUCCESS, Outcome::Pass, "");
}

#[test]
fn the_final_line_alone_is_never_a_pass() {
    for code in (0..256).filter(|code| *code != 33) {
        assert_ne!(
            outcome(HONEST, End::Status(code)),
            Outcome::Pass,
            "status {code}"
        );
    }
    assert_eq!(outcome(HONEST, End::Signal(9)), Outcome::Crash);
    assert_eq!(
        outcome(HONEST, End::Deadline(Duration::from_secs(1))),
        Outcome::Timeout
    );
}

#[test]
fn the_status_alone_is_never_a_pass() {
    is("", SUCCESS, Outcome::Fail, "said nothing");
    is(
        "all tests passed: ok\n",
        SUCCESS,
        Outcome::Fail,
        "said nothing",
    );
    is(
        "@kfiber run stack::fits\n",
        SUCCESS,
        Outcome::Fail,
        "only line about a test is `run stack::fits`",
    );
    is(
        "@kfiber pass stack::fits lines=0\n",
        SUCCESS,
        Outcome::Fail,
        "only line",
    );
}

#[test]
fn status_zero_is_a_triple_fault() {
    is(
        "@kfiber run stack::fits\n",
        End::Status(0),
        Outcome::Crash,
        "triple fault",
    );
    is(
        HONEST,
        End::Status(0),
        Outcome::Crash,
        "after the guest had said `pass stack::fits lines=2`",
    );
}

#[test]
fn status_one_is_qemus_own_failure() {
    is("", End::Status(1), Outcome::Crash, "QEMU itself failed");
}

#[test]
fn a_lost_line_is_noticed() {
    is(
        &HONEST.replace("free text\n", ""),
        SUCCESS,
        Outcome::Fail,
        "sent 2 lines before the last one and 1 arrived",
    );
    is(
        &HONEST.replace("lines=2", "lines=1"),
        SUCCESS,
        Outcome::Fail,
        "sent 1 lines",
    );
    is(
        &HONEST.replace("lines=2", "lines=x"),
        SUCCESS,
        Outcome::Fail,
        "sent x lines",
    );
    is(
        &HONEST.replace(" lines=2", ""),
        SUCCESS,
        Outcome::Fail,
        "no count of lines",
    );
}

#[test]
fn another_test_that_passed_is_not_this_one() {
    is(
        &HONEST.replace("pass stack::fits", "pass stack::other"),
        SUCCESS,
        Outcome::Fail,
        "`stack::other` that passed",
    );
    is(
        &HONEST.replace("run stack::fits", "run stack::other"),
        SUCCESS,
        Outcome::Fail,
        "first line is",
    );
}

#[test]
fn the_pass_must_be_the_last_word() {
    is(
        &format!("{HONEST}@kfiber fail after all\n"),
        SUCCESS,
        Outcome::Fail,
        "last line is `fail after all`",
    );
    is(
        &format!("{HONEST}and more"),
        SUCCESS,
        Outcome::Fail,
        "8 bytes came after",
    );
    is(
        &format!("{HONEST}and more\n"),
        SUCCESS,
        Outcome::Fail,
        "8 bytes came after",
    );
}

#[test]
fn one_run_has_one_end() {
    let twice = "@kfiber run stack::fits\n@kfiber fail no\n@kfiber pass stack::fits lines=2\n";
    is(twice, SUCCESS, Outcome::Fail, "also said `fail no`");
}

#[test]
fn a_pass_that_begins_inside_a_line_or_is_cut_off_is_none() {
    is(
        &HONEST.replace("text\n", "text "),
        SUCCESS,
        Outcome::Fail,
        "only line",
    );
    is(HONEST.trim_end(), SUCCESS, Outcome::Fail, "only line");
}

#[test]
fn what_the_guest_reports_is_the_reason() {
    let run = "@kfiber run stack::fits\n";
    is(
        &format!("{run}@kfiber fail did not panic\n"),
        FAILURE,
        Outcome::Fail,
        "did not panic",
    );
    is(
        &format!("{run}@kfiber panic a.rs:1:2 boom\n"),
        FAILURE,
        Outcome::Panic,
        "panicked at a.rs:1:2 boom",
    );
    is(
        &format!("{run}@kfiber fault #PF vector=14\n"),
        FAILURE,
        Outcome::Fault,
        "CPU exception #PF vector=14",
    );
    is(
        HONEST,
        FAILURE,
        Outcome::Fail,
        "ended with the status of failure",
    );
    is(run, FAILURE, Outcome::Fail, "without saying why");
}

#[test]
fn the_first_of_several_troubles_is_the_cause() {
    is(
        "@kfiber panic a.rs:1:2 boom\n@kfiber fault #DF vector=8\n",
        FAILURE,
        Outcome::Panic,
        "boom",
    );
}

#[test]
fn bytes_that_are_no_text_are_no_trouble() {
    let serial = [
        b"@kfiber run stack::fits\n\xff\xfe\n".as_slice(),
        b"@kfiber pass stack::fits lines=2\n",
    ]
    .concat();
    assert_eq!(judge(NAME, &serial, SUCCESS).outcome, Outcome::Pass);
}

#[test]
fn a_timeout_tells_the_last_words() {
    let end = End::Deadline(Duration::from_secs(2));
    is(
        "@kfiber run stack::fits\nwaiting",
        end,
        Outcome::Timeout,
        "not ended after 2 s",
    );
    is(
        "@kfiber run stack::fits\nwaiting",
        end,
        Outcome::Timeout,
        "last line is `waiting`",
    );
    is("", end, Outcome::Timeout, "wrote nothing at all");
}

#[test]
fn a_message_of_several_lines_is_shown_in_several_lines() {
    is(
        "@kfiber run stack::fits\n@kfiber panic a.rs:1:2 first\\n  second `\\\\n` \\x\n",
        FAILURE,
        Outcome::Panic,
        "panicked at a.rs:1:2 first\n      second `\\n` \\x",
    );
    is(
        "@kfiber run stack::fits\n@kfiber fail first\\nsecond\n",
        FAILURE,
        Outcome::Fail,
        "first\n    second",
    );
}

#[test]
fn a_test_does_not_pass_if_the_kernel_reports_that_a_fiber_failed() {
    for failure in [
        " panicked at src/tests.rs:28:33: assertion failed",
        " panicked: a message without a place",
        " faulted at 0x117847: #UD, error code 0x0, rsp 0x1ddd00",
        " overflowed its stack at 0x117847, rsp 0x1d5e10",
        ": stack overflowed",
        ": hit the guard page of another stack",
        ": control block was overwritten",
    ] {
        let report = format!("fiber \"a (strange) name\" (1ddd80.1){failure}");
        let serial = format!("free text\r\n[0.5] {report}\r\n  it has ended\r\n");
        let verdict = failed_fiber(serial.as_bytes()).expect("a fiber failed");
        assert_eq!(verdict.outcome, Outcome::Fail);
        assert!(verdict.reason.contains(&report), "{}", verdict.reason);
    }
}

#[test]
fn what_else_is_said_of_fibers_fails_no_test() {
    for said in [
        HONEST,
        "fiber \"a\" (1ddd80.1) waits for a mutex",
        "fiber \"a\" (1ddd80.1): panicked fibers are reported otherwise",
        "the fiber \"a\" (my.first) panicked",
        "every fiber panicked",
    ] {
        assert_eq!(failed_fiber(said.as_bytes()), None, "{said}");
    }
}
