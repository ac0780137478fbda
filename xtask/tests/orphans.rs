//! A runner that is killed leaves no machine behind, not even one that hangs.
#![cfg(target_os = "linux")]

use core::time::Duration;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

/// Asks until there is an answer. The time only bounds a failure; no success depends on it.
#[track_caller]
fn wait_for<T>(what: &str, answer: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{what} did not come about"
        );
        thread::sleep(Duration::from_millis(10));
    }
}

/// The QEMU that was started by any thread of the process.
fn machine_of(process: u32) -> Option<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let children = threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<u32> = children
        .flat_map(|list| {
            list.split(' ')
                .filter_map(|id| id.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect();
    children.into_iter().find(|child| {
        fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name.starts_with("qemu"))
    })
}

/// Whether a process is gone, or dead and only not yet waited for.
fn is_dead(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn killing_the_runner_kills_its_machine() {
    let mut runner = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args([
            "qemu-test",
            "--kernel",
            "liars",
            "--timeout",
            "600",
            "--exact",
            "timeout::spins",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the runner starts");
    let machine = wait_for("the machine", || machine_of(runner.id()));
    assert!(!is_dead(machine));
    runner.kill().expect("the runner can be killed");
    runner.wait().expect("the runner has ended");
    wait_for("the machine's end", || is_dead(machine).then_some(()));
}
