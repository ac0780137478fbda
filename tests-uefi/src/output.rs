//! What the application says, and how it ends the machine.

use core::fmt::{self, Write as _};

use x86_64::instructions::{hlt, port::PortWriteOnly};

/// The value for success; QEMU ends with twice as much plus one, which is 33.
pub(crate) const PASSED: u32 = 0x10;
/// The value for failure.
pub(crate) const FAILED: u32 = 0x11;

/// QEMU's port for debugging output.
const OUTPUT: u16 = 0xe9;
/// The port of QEMU's device `isa-debug-exit`.
const EXIT: u16 = 0xf4;

struct Output;

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: nothing but QEMU's device is at this port.
            unsafe { PortWriteOnly::new(OUTPUT).write(byte) };
        }
        Ok(())
    }
}

/// Writes one line.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    // The device takes everything.
    let _ = writeln!(Output, "{line}");
}

/// Ends the machine.
pub(crate) fn end(value: u32) -> ! {
    // SAFETY: nothing but QEMU's device is at this port.
    unsafe { PortWriteOnly::new(EXIT).write(value) };
    loop {
        hlt();
    }
}
