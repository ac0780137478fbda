//! The way out: QEMU's `isa-debug-exit` device, whose status is `(value << 1) | 1`.

pub use kfiber_test::exit::{exit_with, fail, pass};
