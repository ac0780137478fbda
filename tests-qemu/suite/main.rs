//! The tests of kfiber that need a bare machine. One file per subject; the harness' own are in `harness.rs`.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(all(target_os = "none", not(feature = "switches-only")))]
mod anatomy;
#[cfg(all(target_os = "none", not(feature = "switches-only")))]
mod auto_traits;
#[cfg(all(
    target_os = "none",
    any(not(feature = "switches-only"), kfiber_frame_pointers)
))]
mod backtrace;
#[cfg(target_os = "none")]
mod checked;
#[cfg(target_os = "none")]
mod context;
#[cfg(target_os = "none")]
mod copies;
#[cfg(all(target_os = "none", not(feature = "switches-only")))]
mod entry;
#[cfg(all(target_os = "none", not(feature = "switches-only")))]
mod examples;
#[cfg(all(target_os = "none", not(feature = "switches-only")))]
mod failures;
#[cfg(target_os = "none")]
mod fiber;
#[cfg(target_os = "none")]
mod flags;
#[cfg(target_os = "none")]
#[cfg_attr(
    feature = "switches-only",
    expect(dead_code, reason = "others of the suite's tests use its stacks")
)]
mod fuzz;
#[cfg(all(target_os = "none", not(feature = "switches-only")))]
mod hardware;
#[cfg(all(target_os = "none", not(feature = "switches-only")))]
mod harness;
#[cfg(all(target_os = "none", not(feature = "switches-only")))]
mod overflow;
#[cfg(all(target_os = "none", not(feature = "switches-only")))]
mod place;
#[cfg(all(target_os = "none", not(feature = "switches-only")))]
mod scheduler;
#[cfg(all(target_os = "none", not(feature = "switches-only")))]
mod soak;
#[cfg(target_os = "none")]
mod stack;
#[cfg(all(target_os = "none", not(feature = "switches-only")))]
mod stall;
#[cfg(all(target_os = "none", not(feature = "switches-only")))]
mod storm;
#[cfg(target_os = "none")]
mod unwinding;
#[cfg(all(target_os = "none", not(feature = "switches-only")))]
mod user_mode;
#[cfg(all(target_os = "none", not(feature = "switches-only")))]
mod wakeups;
#[cfg(all(target_os = "none", not(feature = "switches-only")))]
mod walk;

#[cfg(target_os = "none")]
tests_qemu::entry!(tests_qemu::run::run_one_test);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("These tests run in QEMU: `cargo xtask qemu-test`.");
    std::process::exit(1);
}
