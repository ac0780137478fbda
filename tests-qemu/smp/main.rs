//! The tests that need several cores, which run at the same time. One file per subject.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod apic_cores;
#[cfg(target_os = "none")]
mod endings;
#[cfg(target_os = "none")]
mod kicks;
#[cfg(target_os = "none")]
mod lives;
#[cfg(target_os = "none")]
mod locks;
#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
mod meetings;
#[cfg(target_os = "none")]
mod moving;
#[cfg(target_os = "none")]
mod priorities;
#[cfg(target_os = "none")]
mod reports;
#[cfg(target_os = "none")]
mod team;
#[cfg(target_os = "none")]
mod tokens;
#[cfg(target_os = "none")]
mod watchdogs;
#[cfg(target_os = "none")]
mod watchpoints;
#[cfg(target_os = "none")]
mod words;

#[cfg(target_os = "none")]
tests_qemu::entry!(tests_qemu::run::run_one_test);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("These tests run in QEMU: `cargo xtask qemu-test`.");
    std::process::exit(1);
}
