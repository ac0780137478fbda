//! The tests of the flight recorder. One file per subject.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(all(target_os = "none", feature = "smp"))]
mod cores;
#[cfg(all(target_os = "none", not(feature = "smp")))]
mod crash;
#[cfg(target_os = "none")]
mod events;
#[cfg(all(target_os = "none", not(feature = "smp")))]
mod scenario;
#[cfg(all(target_os = "none", not(feature = "smp")))]
mod stepping;

#[cfg(target_os = "none")]
tests_qemu::entry!(tests_qemu::run::run_one_test);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("These tests run in QEMU: `cargo xtask qemu-test`.");
    std::process::exit(1);
}
