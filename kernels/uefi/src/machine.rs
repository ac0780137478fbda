//! The hardware: exceptions, a timer, a serial port, guard pages.

use kfiber::exceptions::{Tables, TrapFrame};
use kfiber::hardware::{ApicCores, ApicVectors, HardwareError, LocalApic, SerialPort, pic};
use kfiber::interrupt_entry;
use kfiber::scheduler::FatalReason;
use kfiber::stack::guard::{self, TableFrames};
use kfiber::x86_64::VirtAddr;
use kfiber::x86_64::instructions::{hlt, interrupts, port::Port};

use crate::cores;
use crate::kernel::{CLUMSY, KEYS, SCHEDULER, println};

/// The vectors of interrupts: of each core's timer, and by which one core wakes another.
const VECTORS: ApicVectors = ApicVectors {
    timer: 0x40,
    kick: 0x41,
};
/// Those of the interrupt controller's lines, from 0 on.
const PIC: u8 = 0x50;
const SERIAL: u8 = PIC + SerialPort::FIRST_LINE;
/// Both controllers have a vector for interrupts that went away before they were served.
const SPURIOUS: u8 = 0xff;
const PIC_SPURIOUS: u8 = PIC + 7;

/// The platform of the scheduler: a timer for each core, and one clock.
pub const fn platform() -> ApicCores<{ cores::COUNT }> {
    // SAFETY: no interrupt handler of this kernel turns interrupts on.
    unsafe { ApicCores::new() }
}

interrupt_entry! {
    fn on_timer(_frame: &mut TrapFrame) vector(VECTORS.timer) {
        SCHEDULER.timer_interrupt();
        SCHEDULER.platform().end_of_timer_interrupt();
    }

    fn on_kick(_frame: &mut TrapFrame) vector(VECTORS.kick) {
        SCHEDULER.platform().end_of_interrupt();
    }

    fn on_serial(_frame: &mut TrapFrame) vector(SERIAL) {
        while let Some(key) = SerialPort::FIRST.receive() {
            let _is_lost_if_full = KEYS.try_send(key);
        }
        pic::end_of_interrupt(SerialPort::FIRST_LINE);
    }

    fn on_spurious(_frame: &mut TrapFrame) {}
}

/// Called for an exception that is not one fiber's.
fn on_fatal(frame: &TrapFrame, why: FatalReason) -> ! {
    println!("kernel: exception {}: {why}\n{frame}", frame.vector);
    fail()
}

/// The descriptor tables of a core, with a stack of 64 KiB for each of the exceptions that need one.
pub type CoreTables = Tables<{ 64 * 1024 }>;

static TABLES: CoreTables = Tables::new();
/// Memory for page tables: a guard page within a huge page needs one more.
static FRAMES: TableFrames<4> = TableFrames::new();

/// To be called on each core, with tables of its own.
pub fn load(tables: &'static CoreTables) {
    let interrupts: [(u8, unsafe extern "sysv64" fn()); 5] = [
        (VECTORS.timer, on_timer),
        (VECTORS.kick, on_kick),
        (SERIAL, on_serial),
        (SPURIOUS, on_spurious),
        (PIC_SPURIOUS, on_spurious),
    ];
    // SAFETY: each entry is that of its vector.
    unsafe { tables.load(on_fatal, &interrupts) };
}

/// To be called on each core.
pub fn enable_local_apic(physical_memory_at: VirtAddr) -> Result<LocalApic, HardwareError> {
    // SAFETY: all page tables are mapped there, and the vector has a handler.
    unsafe { LocalApic::enable(physical_memory_at, SPURIOUS) }
}

/// To be called once, at boot. All physical memory is mapped from `physical_memory_at` on.
pub fn init(physical_memory_at: VirtAddr) -> Result<(), HardwareError> {
    SerialPort::FIRST.init()?;
    load(&TABLES);
    // SAFETY: nobody else uses the page tables, and nobody uses a guard.
    unsafe { guard::unmap_in_use(&[&CLUMSY], physical_memory_at, &FRAMES) }
        .expect("the guards can be unmapped");
    pic::remap(PIC)?;
    let local_apic = enable_local_apic(physical_memory_at)?;
    // SAFETY: nobody else uses this timer or the PIT, by which it is measured.
    unsafe { SCHEDULER.platform().start(local_apic, VECTORS) }?;
    SerialPort::FIRST.interrupt_on_input();
    // SAFETY: the line has a handler, as the other vectors have.
    unsafe { pic::unmask(SerialPort::FIRST_LINE) };
    interrupts::enable();
    Ok(())
}

/// Ends QEMU with status 0.
pub fn power_off() -> ! {
    // SAFETY: on QEMU's machines this is the power management; elsewhere the processor halts below.
    unsafe { Port::new(0x604).write(0x2000_u16) };
    halt()
}

/// Ends QEMU with status 35.
pub fn fail() -> ! {
    // SAFETY: the device `isa-debug-exit` of QEMU; elsewhere the processor halts below.
    unsafe { Port::new(0xf4).write(0x11_u32) };
    halt()
}

/// Stops this core.
pub fn halt() -> ! {
    interrupts::disable();
    loop {
        hlt();
    }
}
