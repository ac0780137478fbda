//! The tests in QEMU as a test executable: `cargo nextest run --package xtask --test qemu`.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask::nextest()
}
