//! The tests of the adapters that need a bare machine, each an example of its adapter too. One file per adapter.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod delays;
#[cfg(target_os = "none")]
mod locks;
#[cfg(target_os = "none")]
mod sections;
#[cfg(target_os = "none")]
mod tasks;
#[cfg(target_os = "none")]
mod world;

#[cfg(target_os = "none")]
tests_qemu::entry!(tests_qemu::run::run_one_test);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("These tests run in QEMU: `cargo xtask qemu-test --kernel adapters`.");
    std::process::exit(1);
}
