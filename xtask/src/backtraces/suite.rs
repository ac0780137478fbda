//! The kernel whose backtraces are looked at, and the options under which its tests run.

use clap::Parser as _;

use crate::cli::{Nextest, QemuTest};

/// The kernel with the scenes.
pub(super) const KERNEL: &str = "suite";

/// The options of `qemu-test` for these tests, all others at their defaults.
pub(super) fn options(tests: &[&str]) -> QemuTest {
    Nextest::parse_from([&["qemu-test"], tests].concat()).options
}
