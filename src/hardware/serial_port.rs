//! The serial port of a PC, a 16550: output that waits, and input by interrupt.

use super::error::HardwareError;
use core::fmt;
use core::hint::spin_loop;
use x86_64::instructions::port::Port;

/// Registers, by their distance from the first I/O port (16550 datasheet, table 2).
const DATA: u16 = 0;
const INTERRUPT_ENABLE: u16 = 1;
const FIFO_CONTROL: u16 = 2;
const LINE_CONTROL: u16 = 3;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;

/// While this bit is set, the first two registers are the divisor of 115,200 baud.
const DIVISOR_ACCESS: u8 = 1 << 7;
/// Eight bits, no parity, one stop bit.
const EIGHT_N_ONE: u8 = 0b11;
/// The queues are on and empty, and each byte interrupts.
const FIFO_ON_AND_EMPTY: u8 = 0b111;
/// The other end may send; OUT2 lets the interrupt through on a PC.
const READY: u8 = 0b1011;
const LOOPBACK: u8 = 1 << 4;
const DATA_READY: u8 = 1;
const CAN_SEND: u8 = 1 << 5;

/// A byte takes 87 µs at 115,200 baud, and a reading of a register about one.
const PATIENCE: u32 = 100_000;

/// A serial port of a PC, with 115,200 baud, eight bits, no parity and one stop bit.
///
/// It can be kept in a static. The documentation of the [module](super) has an example with
/// interrupts. Output also works by `write!`, as for any [`fmt::Write`]: `write!(&PORT, "hello")`.
/// Copies are the same port. There is no lock, so what two contexts send at once is mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SerialPort {
    first_port: u16,
}

impl SerialPort {
    /// The first serial port of a PC, at I/O port 0x3f8.
    // SAFETY: only serial ports have been there since the first PC.
    pub const FIRST: Self = unsafe { Self::at(0x3f8) };

    /// The line of the PIC, and the usual input of the I/O APIC, to which the first port is
    /// connected.
    pub const FIRST_LINE: u8 = 4;

    /// The second serial port of a PC, at I/O port 0x2f8.
    // SAFETY: as above.
    pub const SECOND: Self = unsafe { Self::at(0x2f8) };

    /// The line to which the second port is connected.
    pub const SECOND_LINE: u8 = 3;

    /// Returns the serial port whose eight I/O ports begin at `first_port`.
    ///
    /// # Safety
    ///
    /// Nothing but a serial port is at these I/O ports, and `first_port` is at most `0xfff8`.
    #[must_use]
    pub const unsafe fn at(first_port: u16) -> Self {
        Self { first_port }
    }

    /// Sets the port up, without interrupts, and tests it by sending itself a byte.
    ///
    /// # Errors
    ///
    /// Returns [`HardwareError::NoSerialPortAt`] if the byte does not come back.
    ///
    /// # Context
    ///
    /// Callable from: boot code, fiber, scheduler. Blocks: the core, for up to 0.1 s.
    pub fn init(&self) -> Result<(), HardwareError> {
        const SENT: u8 = 0xa5;
        self.write(INTERRUPT_ENABLE, 0);
        self.write(LINE_CONTROL, DIVISOR_ACCESS);
        self.write(DATA, 1);
        self.write(INTERRUPT_ENABLE, 0);
        self.write(LINE_CONTROL, EIGHT_N_ONE);
        self.write(FIFO_CONTROL, FIFO_ON_AND_EMPTY);
        self.write(MODEM_CONTROL, READY | LOOPBACK);
        self.write(DATA, SENT);
        let received = self.wait_for(DATA_READY) && self.read(DATA) == SENT;
        self.write(MODEM_CONTROL, READY);
        if received {
            Ok(())
        } else {
            Err(HardwareError::NoSerialPortAt {
                port: self.first_port,
            })
        }
    }

    /// Has the port interrupt for each byte that it receives, from now on. The handler calls
    /// [`receive`](Self::receive) until there are no more.
    ///
    /// The interrupt comes only once its line is let through: see [`pic::unmask`](super::pic::unmask).
    ///
    /// # Context
    ///
    /// Callable from: boot code, fiber, interrupt, scheduler. Blocks: nothing.
    pub fn interrupt_on_input(&self) {
        self.write(INTERRUPT_ENABLE, DATA_READY);
    }

    /// Returns the next byte that was received, if there is one.
    ///
    /// # Context
    ///
    /// Callable from: boot code, fiber, interrupt, scheduler. Blocks: nothing.
    #[must_use]
    pub fn receive(&self) -> Option<u8> {
        /// What is read where there is no port. No port is in all states at once.
        const ABSENT: u8 = 0xff;
        let status = self.read(LINE_STATUS);
        (status & DATA_READY != 0 && status != ABSENT).then(|| self.read(DATA))
    }

    /// Sends a byte. Waits until there is room, at most about 0.1 s, after which the byte is sent
    /// all the same and may be lost.
    ///
    /// # Context
    ///
    /// Callable from: boot code, fiber, interrupt, scheduler. Blocks: the core.
    pub fn send(&self, byte: u8) {
        let _has_room = self.wait_for(CAN_SEND);
        self.write(DATA, byte);
    }

    /// Waits until a bit of the line's status is set. Returns `false` if it does not come.
    fn wait_for(&self, bit: u8) -> bool {
        for _ in 0..PATIENCE {
            if self.read(LINE_STATUS) & bit != 0 {
                return true;
            }
            spin_loop();
        }
        false
    }

    fn read(&self, register: u16) -> u8 {
        // SAFETY: the promise of `at`'s caller; a serial port has no access to memory.
        unsafe { Port::new(self.first_port + register).read() }
    }

    fn write(&self, register: u16, value: u8) {
        // SAFETY: as above.
        unsafe { Port::new(self.first_port + register).write(value) };
    }
}

impl fmt::Write for SerialPort {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.send(byte));
        Ok(())
    }
}

impl fmt::Write for &SerialPort {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut own = **self;
        own.write_str(text)
    }
}
