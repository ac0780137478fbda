//! Bytes that arrive at the first serial port, by interrupt.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use x86_64::instructions::port::Port;

use crate::exceptions::{self, SERIAL_VECTOR};
use crate::interrupts;

const DATA: u16 = 0x3f8;
const INTERRUPT_ENABLE: u16 = DATA + 1;
const MODEM_CONTROL: u16 = DATA + 4;
const LINE_STATUS: u16 = DATA + 5;

/// "Data is there" may interrupt.
const DATA_READY: u8 = 1;
/// On a PC this output of the port lets its interrupt through.
const OUT2: u8 = 1 << 3;

/// The I/O APIC, and its table entry of input 4, which is the first serial port's.
const IO_APIC: *mut u32 = ptr::without_provenance_mut(0xfec0_0000);
const IO_APIC_WINDOW: *mut u32 = ptr::without_provenance_mut(0xfec0_0010);
const ENTRY: u32 = 0x10 + 2 * 4;

static ON_BYTE: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Calls `handler` for each byte from now on, in the interrupt handler.
pub fn on_byte(handler: fn(u8)) {
    ON_BYTE.store(handler as *mut (), Ordering::Release);
    exceptions::hook(SERIAL_VECTOR, |_frame| {
        receive();
        interrupts::end_of_interrupt();
    });
    route(u32::from(SERIAL_VECTOR));
    write(MODEM_CONTROL, OUT2 | 0b11);
    write(INTERRUPT_ENABLE, DATA_READY);
}

fn receive() {
    while read(LINE_STATUS) & 1 != 0 {
        let byte = read(DATA);
        let handler = ON_BYTE.load(Ordering::Acquire);
        // SAFETY: `on_byte` made it of such a function, before the interrupt was let through.
        let handler: fn(u8) = unsafe { core::mem::transmute(handler) };
        handler(byte);
    }
}

/// Sends the port's interrupt to this core as `vector`.
fn route(vector: u32) {
    for (register, value) in [(ENTRY + 1, 0), (ENTRY, vector)] {
        // SAFETY: the selector of the I/O APIC, mapped one to one.
        unsafe { IO_APIC.write_volatile(register) };
        // SAFETY: its window.
        unsafe { IO_APIC_WINDOW.write_volatile(value) };
    }
}

fn read(port: u16) -> u8 {
    // SAFETY: a register of the first serial port; reading it takes at most a byte that we want.
    unsafe { Port::new(port).read() }
}

fn write(port: u16, value: u8) {
    // SAFETY: a register of the first serial port, whose meaning is said above.
    unsafe { Port::new(port).write(value) };
}
