//! A panic inside a fiber has nobody to unwind to: it prints its message and ends the process. Each case runs in a
//! process of its own, which is this test again.
#![cfg(not(miri))]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

/// Set in the process that is to die.
const INSIDE: &str = "KFIBER_TEST_PANIC_INSIDE";
const SIGABRT: i32 = 6;

/// Runs `die` in a process of its own, in the test of this name, and returns how it ended.
fn dies(test: &str, die: fn()) -> Output {
    if std::env::var_os(INSIDE).is_some() {
        die();
        println!("survived");
        std::process::exit(0);
    }
    Command::new(std::env::current_exe().expect("a running program"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("starts")
}

fn assert_aborted(output: &Output, phrase: &str) {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(
        output.status.signal(),
        Some(SIGABRT),
        "{}\n{out}\n{err}",
        output.status
    );
    assert!(err.contains(phrase), "{err}");
    assert!(!out.contains("survived"), "{out}");
}

/// Resumes a fiber that runs `body`, and catches what comes out.
fn caught(body: fn(&Yielder<(), ()>)) {
    static STACK: Stack<{ 256 * 1024 }> = Stack::new();
    let mut fiber =
        Fiber::<(), (), (), _>::new(STACK.take().expect("first"), move |yielder, ()| {
            body(yielder);
        })
        .expect("fits");
    let caught = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| {
        let _ = fiber.resume(());
        let _ = fiber.resume(());
    }));
    println!("{caught:?}");
}

#[test]
fn a_panic_in_a_fiber_ends_the_process_with_its_message_and_is_not_caught_by_the_resumer() {
    let output = dies(
        "a_panic_in_a_fiber_ends_the_process_with_its_message_and_is_not_caught_by_the_resumer",
        || caught(|_| panic!("out of cheese")),
    );
    assert_aborted(&output, "out of cheese");
}

#[test]
fn a_panic_after_a_suspension_ends_the_process_too() {
    let output = dies("a_panic_after_a_suspension_ends_the_process_too", || {
        caught(|yielder| {
            yielder.suspend(());
            panic!("redo from start");
        });
    });
    assert_aborted(&output, "redo from start");
}

#[test]
fn a_panic_in_a_scheduled_fiber_without_hooks_ends_the_process() {
    use kfiber::{
        platform::Host,
        scheduler::{FiberCell, Scheduler},
    };
    static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
    static CELL: FiberCell<{ 256 * 1024 }> = FiberCell::new();
    let output = dies(
        "a_panic_in_a_scheduled_fiber_without_hooks_ends_the_process",
        || {
            let handle = SCHEDULER.spawn(&CELL, || panic!("mind the gap"));
            handle.expect("free").detach();
            SCHEDULER.run();
        },
    );
    assert_aborted(&output, "mind the gap");
    assert_aborted(&output, "call `Scheduler::set_hooks` first");
}

#[test]
fn a_panic_that_a_fiber_catches_itself_is_its_own_business() {
    let output = dies(
        "a_panic_that_a_fiber_catches_itself_is_its_own_business",
        || {
            caught(|yielder| {
                assert!(std::panic::catch_unwind(|| panic!("caught inside")).is_err());
                yielder.suspend(());
            });
        },
    );
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("survived"));
}

#[test]
fn a_panic_while_a_fiber_waits_for_a_condition_ends_the_process_with_a_sentence() {
    use kfiber::{
        platform::Host,
        scheduler::{AfterDeadlock, Deadlock, FiberPool, Hooks, Report, Scheduler},
        sync::{Condvar, Mutex},
    };
    struct Panics;
    impl Hooks for Panics {
        fn report(&self, _report: &Report<'_>) {}

        fn deadlocked(&self, _deadlock: &Deadlock<'_>) -> AfterDeadlock {
            panic!("the hook panics")
        }
    }
    static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
    static CELLS: FiberPool<{ 256 * 1024 }, 2> = FiberPool::new();
    static FIRST: Mutex<()> = Mutex::new(());
    static SECOND: Mutex<()> = Mutex::new(());
    static CHANGED: Condvar = Condvar::new();
    let output = dies(
        "a_panic_while_a_fiber_waits_for_a_condition_ends_the_process_with_a_sentence",
        || {
            SCHEDULER.set_hooks(&Panics).expect("the first");
            let waits = SCHEDULER.spawn(&CELLS, || {
                let _second = SECOND.lock();
                let mut first = FIRST.lock();
                // Its way back to `FIRST` closes a cycle.
                let _caught = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| {
                    let _waited = CHANGED.wait(&mut first);
                }));
            });
            waits.expect("free").detach();
            let other = SCHEDULER.spawn(&CELLS, || {
                let _first = FIRST.lock();
                CHANGED.notify_one();
                // It waits first, so the other one closes the cycle.
                let _second = SECOND.lock();
            });
            other.expect("free").detach();
            SCHEDULER.run();
        },
    );
    assert_aborted(
        &output,
        "a panic while a fiber waits for a condition variable",
    );
}
