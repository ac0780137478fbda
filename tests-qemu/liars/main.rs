//! Kernels that misbehave on purpose: the runner's own tests. A runner that lets one of them pass is broken.
//!
//! The first word of a name is the outcome that the runner must report.
//!
//! | test | outcome | what it does |
//! |---|---|---|
//! | `pass::is_honest` | pass | nothing wrong |
//! | `pass::floods_the_port` | pass | sends 1 MiB, then passes: nothing may be lost |
//! | `pass::leaves_a_line_unfinished` | pass | its last text has no line break |
//! | `fail::returns_instead_of_panicking` | fail | promised a panic |
//! | `fail::returns_instead_of_faulting` | fail | promised `#UD` |
//! | `fail::runs_nothing_and_exits_with_success` | fail | status 33 without the final line |
//! | `fail::is_silent_and_exits_with_success` | fail | status 33 without any line at all |
//! | `fail::loses_a_line` | fail | claims one line more than it sent |
//! | `fail::invents_a_line` | fail | claims one line less than it sent |
//! | `fail::passes_with_the_status_of_failure` | fail | final line of a pass, status 35 |
//! | `fail::says_nothing_and_exits_with_failure` | fail | status 35 without a reason |
//! | `fail::passes_in_the_name_of_another` | fail | final line names another test |
//! | `fail::fails_and_then_passes` | fail | two verdicts |
//! | `fail::goes_on_after_passing` | fail | text after the final line |
//! | `panic::panics` | panic | promised to return |
//! | `panic::panics_with_another_message` | panic | promised a panic with another message |
//! | `panic::panics_instead_of_faulting` | panic | promised `#PF` |
//! | `panic::panics_in_several_lines` | panic | the message has line breaks, one line looks like a pass |
//! | `panic::panics_while_panicking` | panic | formatting the message panics |
//! | `fault::general_protection` | fault | `#GP` in `liars::fault::read_non_canonical_address` |
//! | `fault::overflows_the_stack` | fault | `#PF` below the boot stack, in `liars::fault::recurse` |
//! | `fault::faults_instead_of_panicking` | fault | promised a panic, raises `#UD` |
//! | `fault::raises_another_exception` | fault | promised `#PF`, raises `#UD` |
//! | `timeout::spins` | timeout | `loop {}` |
//! | `timeout::halts` | timeout | `cli; hlt` |
//! | `timeout::is_silent_and_spins` | timeout | not a byte |
//! | `timeout::passes_and_spins` | timeout | final line of a pass, but no exit |
//! | `crash::triple_faults` | crash | `#UD` with an empty IDT: QEMU ends with status 0 |
//! | `crash::says_ok_and_triple_faults` | crash | "ok", final line of a pass, then as above |
//! | `crash::exits_with_status_1` | crash | looks like QEMU's own errors |
//! | `crash::passes_and_exits_with_status_1` | crash | final line of a pass, then as above |
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod crash;
#[cfg(target_os = "none")]
mod fail;
#[cfg(target_os = "none")]
mod fault;
#[cfg(target_os = "none")]
mod panic;
#[cfg(target_os = "none")]
mod pass;
#[cfg(target_os = "none")]
mod timeout;

#[cfg(target_os = "none")]
tests_qemu::entry!(main);

/// The harness prints a line before it runs a test, which those that are silent must not do.
#[cfg(target_os = "none")]
fn main() -> ! {
    use tests_qemu::{command_line, exit, protocol::TEST_KEY, run};

    match command_line::value(TEST_KEY) {
        Some("fail::is_silent_and_exits_with_success") => exit::pass(),
        Some("timeout::is_silent_and_spins") => timeout::spin(),
        _ => run::run_one_test(),
    }
}

/// Prints what the harness prints when a test passes.
#[cfg(target_os = "none")]
fn print_pass(name: &str, lines: u64) {
    use tests_qemu::{
        println,
        protocol::{PASS, PREFIX},
    };

    println!("{PREFIX}{PASS} {name} lines={lines}");
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("These kernels run in QEMU: `cargo xtask qemu-test --kernel liars`.");
    std::process::exit(1);
}
