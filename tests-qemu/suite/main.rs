//! The tests of kfiber that need a bare machine. One file per subject; the harness' own are in `harness.rs`.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod anatomy;
#[cfg(target_os = "none")]
mod auto_traits;
#[cfg(target_os = "none")]
mod backtrace;
#[cfg(target_os = "none")]
mod checked;
#[cfg(target_os = "none")]
mod context;
#[cfg(target_os = "none")]
mod examples;
#[cfg(target_os = "none")]
mod failures;
#[cfg(target_os = "none")]
mod fiber;
#[cfg(target_os = "none")]
mod flags;
#[cfg(target_os = "none")]
mod fuzz;
#[cfg(target_os = "none")]
mod harness;
#[cfg(target_os = "none")]
mod overflow;
#[cfg(target_os = "none")]
mod place;
#[cfg(target_os = "none")]
mod scheduler;
#[cfg(target_os = "none")]
mod soak;
#[cfg(target_os = "none")]
mod stack;
#[cfg(target_os = "none")]
mod stall;
#[cfg(target_os = "none")]
mod storm;
#[cfg(target_os = "none")]
mod versions;
#[cfg(target_os = "none")]
mod wakeups;
#[cfg(target_os = "none")]
mod walk;

#[cfg(target_os = "none")]
tests_qemu::entry!(tests_qemu::run::run_one_test);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("These tests run in QEMU: `cargo xtask qemu-test`.");
    std::process::exit(1);
}
