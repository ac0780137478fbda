//! The tests of the flight recorder. One file per subject.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
tests_qemu::entry!(tests_qemu::run::run_one_test);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("These tests run in QEMU: `cargo xtask qemu-test`.");
    std::process::exit(1);
}
