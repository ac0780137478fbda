//! The demo: six ways to sort, each in a fiber of its own, race on your terminal.
//!
//! Each racer is ordinary code in `sorts.rs`, loops and recursion, that suspends itself after every step. The kernel
//! resumes each in turn and draws where it stands. Nothing is allocated: stacks, closures and frames are statics.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod race;
#[cfg(target_os = "none")]
mod screen;
#[cfg(target_os = "none")]
mod sorts;

#[cfg(target_os = "none")]
tests_qemu::entry!(race::run);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("The demo runs in QEMU: `cargo xtask demo`.");
    std::process::exit(1);
}
