//! From an interrupt to a fiber: the second serial port, which sends to itself, and a fiber that reads it.

use core::fmt::Write as _;
use core::sync::atomic::{AtomicU64, Ordering};

use kfiber::{
    hardware::{HardwareError, SerialPort, pic},
    scheduler::{self, FiberPool},
    sync::Channel,
};
use tests_qemu::{
    exceptions::{self, TIMER_VECTOR},
    kernel_test, println,
};
use x86_64::instructions::{interrupts, port::Port};

use super::{BY_PIT, start_pit_one_shot};

static PORT: SerialPort = SerialPort::SECOND;
static INPUT: Channel<u8, 8> = Channel::new();
static CELLS: FiberPool<{ 16 * 1024 }, 2> = FiberPool::new();
static INTERRUPTS: AtomicU64 = AtomicU64::new(0);
static LOST: AtomicU64 = AtomicU64::new(0);

/// Sets the port up to hear what it sends, by interrupt.
fn listen() {
    const MODEM_CONTROL: u16 = 0x2f8 + 4;
    const LOOPBACK: u8 = 1 << 4;
    start_pit_one_shot().expect("every machine has it");
    exceptions::hook(TIMER_VECTOR + SerialPort::SECOND_LINE, |_| {
        INTERRUPTS.fetch_add(1, Ordering::Relaxed);
        while let Some(byte) = PORT.receive() {
            if INPUT.try_send(byte).is_err() {
                LOST.fetch_add(1, Ordering::Relaxed);
            }
        }
        pic::end_of_interrupt(SerialPort::SECOND_LINE);
    });
    PORT.init().expect("the machine has it");
    // SAFETY: a register of the port, which nobody else uses.
    unsafe { Port::new(MODEM_CONTROL).write(0b1011 | LOOPBACK) };
    PORT.interrupt_on_input();
    // SAFETY: the handler is above.
    unsafe { pic::unmask(SerialPort::SECOND_LINE) };
}

kernel_test! {
    fn bytes_of_a_serial_port_wake_the_fiber_that_reads() machine("-serial null") {
        const TEXT: &str = "what is sent is read, in its order, by a fiber that waits";
        listen();
        let reader = BY_PIT.spawn(&CELLS, || {
            for expected in TEXT.bytes() {
                assert_eq!(INPUT.recv(), Ok(expected));
            }
        });
        let reader = reader.expect("a cell is free");
        let writer = BY_PIT.spawn(&CELLS, || {
            // A byte at a time, so that the reader really waits, and the processor sleeps.
            for byte in TEXT.bytes() {
                PORT.send(byte);
                scheduler::sleep(core::time::Duration::from_millis(1)).expect("nobody cancels it");
            }
        });
        writer.expect("a cell is free").detach();
        interrupts::enable();
        BY_PIT.run();
        interrupts::disable();
        reader.try_join().expect("it has read all");
        let interrupts = INTERRUPTS.load(Ordering::Relaxed);
        println!("{interrupts} interrupts for {} bytes", TEXT.len());
        assert!(interrupts >= TEXT.len() as u64 / 2);
        assert_eq!(LOST.load(Ordering::Relaxed), 0);
    }

    fn what_nobody_reads_is_lost_and_the_handler_does_not_wait() machine("-serial null") {
        listen();
        interrupts::enable();
        for digit in 0..20 {
            write!(&PORT, "{}", digit % 10).expect("it never fails");
            // An interrupt for each, on an emulator that delivers it a little later.
            while INTERRUPTS.load(Ordering::Relaxed) <= digit {
                core::hint::spin_loop();
            }
        }
        interrupts::disable();
        assert_eq!(LOST.load(Ordering::Relaxed), 12);
        let mut all = [0; 8];
        all.fill_with(|| INPUT.try_recv().expect("the first are there"));
        assert_eq!(&all, b"01234567");
    }

    fn a_serial_port_that_is_not_there_is_an_error() {
        let absent = HardwareError::NoSerialPortAt { port: 0x2f8 };
        println!("{absent}");
        assert_eq!(PORT.init(), Err(absent));
        assert_eq!(PORT.receive(), None);
    }
}
