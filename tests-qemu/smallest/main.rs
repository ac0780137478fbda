//! The least kernel with two fibers that yield, without the harness: its text is one of the figures of `cargo xtask bench`.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod kernel;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("It runs in QEMU: `cargo xtask bench`.");
    std::process::exit(1);
}
