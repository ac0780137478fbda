//! The way out: QEMU's `isa-debug-exit` device, whose status is `(value << 1) | 1`.

use qemu_exit::{QEMUExit, X86};

use crate::protocol::{EXIT_FAIL, EXIT_PASS, EXIT_PORT};

/// Ends QEMU with the status that belongs to `value`.
pub fn exit_with(value: u8) -> ! {
    // SAFETY: The runner puts the device at this port; where it is missing the write has no effect, and the runner's
    // deadline ends the machine.
    let device = unsafe { X86::new(EXIT_PORT, u32::from(EXIT_PASS) << 1 | 1) };
    device.exit(u32::from(value))
}

/// Ends QEMU with the status of success. The runner believes it only together with the line that says so.
pub fn pass() -> ! {
    exit_with(EXIT_PASS)
}

/// Ends QEMU with the status of failure.
pub fn fail() -> ! {
    exit_with(EXIT_FAIL)
}
