//! The hardware: exceptions and interrupts, a timer, a serial port, guard pages.

use core::arch::naked_asm;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use kfiber::platform::{Nanoseconds, Timer};
use kfiber::scheduler::overflow::Trap;
use kfiber::scheduler::{TrapFrame, fiber_faulted};
use kfiber::stack::{Storage, guard};
use spin::Once;
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, SS, Segment};
use x86_64::instructions::{interrupts, port::Port, tables::load_tss};
use x86_64::registers::control::{Cr0, Cr0Flags, Cr2, Cr3};
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::idt::InterruptDescriptorTable;
use x86_64::structures::paging::{
    FrameAllocator, OffsetPageTable, PageTable, PhysFrame, Size4KiB, Translate,
};
use x86_64::structures::tss::TaskStateSegment;

use crate::kernel::{CLUMSY, KEYS, SCHEDULER, die};

/// Where the old interrupt controllers put their sixteen lines.
const PIC_VECTOR: u8 = 32;
const TIMER_LINE: u8 = 0;
const SERIAL_LINE: u8 = 4;
const SERIAL: u16 = 0x3f8;
const TICKS_PER_SECOND: u64 = 1000;

/// Prints a line to the serial port.
#[macro_export]
macro_rules! println {
    ($($text:tt)*) => { $crate::machine::print(format_args!("{}\n", format_args!($($text)*))) };
}

/// The serial port. There is no lock: a fiber that fails in the middle of a line must still be reported.
struct Serial;

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while read(SERIAL + 5) & 0x20 == 0 {} // until the port has room
            write(SERIAL, byte);
        }
        Ok(())
    }
}

pub fn print(text: fmt::Arguments<'_>) {
    let _never_fails = Serial.write_fmt(text);
}

/// The old timer of the PC, which interrupts a thousand times a second.
pub struct Ticks;

static TICKS: AtomicU64 = AtomicU64::new(0);

impl Timer for Ticks {
    fn now(&self) -> Nanoseconds {
        TICKS.load(Ordering::Relaxed) * (1_000_000_000 / TICKS_PER_SECOND)
    }

    fn interrupt_at(&self, _: Nanoseconds) {} // the next tick is soon enough
}

fn read(port: u16) -> u8 {
    // SAFETY: the callers name registers whose reading has no effect but the one that they want.
    unsafe { Port::new(port).read() }
}

fn write(port: u16, value: u8) {
    // SAFETY: as for `read`.
    unsafe { Port::new(port).write(value) };
}

/// All registers at an exception or an interrupt, as `entry` saves them.
#[repr(C)]
struct Registers {
    general: [u64; 15], // r15 to r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
    vector: u64,
    error_code: u64,
    pushed: TrapFrame,
}

/// Makes the entry of a vector, which calls `on_trap` with all registers.
macro_rules! entry {
    ($vector:literal, $error_code:literal) => {{
        #[unsafe(naked)]
        unsafe extern "sysv64" fn entry() {
            naked_asm!(
                $error_code, // in place of the one that the processor pushes for some exceptions
                "push {vector}",
                "push rax", "push rcx", "push rdx", "push rbx", "push rbp", "push rsi", "push rdi",
                "push r8", "push r9", "push r10", "push r11", "push r12", "push r13", "push r14", "push r15",
                "cld",
                "mov rdi, rsp",
                "call {on_trap}",
                "pop r15", "pop r14", "pop r13", "pop r12", "pop r11", "pop r10", "pop r9", "pop r8",
                "pop rdi", "pop rsi", "pop rbp", "pop rbx", "pop rdx", "pop rcx", "pop rax",
                "add rsp, 16",
                "iretq",
                vector = const $vector,
                on_trap = sym on_trap,
            )
        }
        VirtAddr::new(entry as *const () as u64)
    }};
}

extern "sysv64" fn on_trap(registers: &mut Registers) {
    let vector = registers.vector as u8;
    match vector.checked_sub(PIC_VECTOR) {
        Some(TIMER_LINE) => {
            TICKS.fetch_add(1, Ordering::Relaxed);
            SCHEDULER.timer_interrupt();
            write(0x20, 0x20); // the end of the interrupt
        }
        Some(SERIAL_LINE) => {
            while read(SERIAL + 5) & 1 != 0 {
                let _lost_if_full = KEYS.try_send(read(SERIAL));
            }
            write(0x20, 0x20);
        }
        Some(_) => {} // a line that went away before it was served
        None => on_exception(vector, registers),
    }
}

fn on_exception(vector: u8, registers: &mut Registers) {
    let Registers {
        error_code, pushed, ..
    } = registers;
    let trap = Trap {
        vector,
        error_code: *error_code,
        rip: pushed.instruction_pointer,
        rsp: pushed.stack_pointer,
        rbp: registers.general[10],
        rflags: pushed.flags,
        address: 0,
    };
    if SCHEDULER.on_exception(&trap.with_address()).is_some() {
        let recovery_frame = SCHEDULER.recovery_frame();
        pushed.instruction_pointer = recovery_frame.rip;
        pushed.stack_pointer = recovery_frame.rsp;
        return;
    }
    let address = if vector == 14 { Cr2::read_raw() } else { 0 };
    // SAFETY: the exception has just come, and `entry` returns to what is in the frame.
    if let Err(why) = unsafe { fiber_faulted(pushed, vector, *error_code, address) } {
        die(
            format_args!("exception {vector} at {:#x}", pushed.instruction_pointer),
            why,
        );
    }
}

/// To be called once, at boot, before anything else of this file.
pub fn init(physical_memory_at: VirtAddr) {
    load_tables();
    unmap_guards(physical_memory_at);
    // The interrupt controllers: vectors from 32 on, and only two lines open.
    for (port, value) in [
        (0x20, 0x11),
        (0x21, PIC_VECTOR),
        (0x21, 4),
        (0x21, 1),
        (0x21, !(1 << TIMER_LINE | 1 << SERIAL_LINE)),
        (0xa0, 0x11),
        (0xa1, PIC_VECTOR + 8),
        (0xa1, 2),
        (0xa1, 1),
        (0xa1, 0xff),
    ] {
        write(port, value);
    }
    // The timer: its input of 1.193182 MHz divided, again and again.
    let [low, high, ..] = (1_193_182 / TICKS_PER_SECOND).to_le_bytes();
    write(0x43, 0b0011_0100);
    write(0x40, low);
    write(0x40, high);
    // The serial port: 115200 baud, 8 bits, a buffer, and an interrupt for what arrives.
    for (register, value) in [
        (1, 0),
        (3, 0x80),
        (0, 1),
        (1, 0),
        (3, 3),
        (2, 7),
        (4, 0x0b),
        (1, 1),
    ] {
        write(SERIAL + register, value);
    }
    interrupts::enable();
}

/// Loads a GDT with a TSS, for the stacks of exceptions, and an IDT.
fn load_tables() {
    static mut STACKS: [[u128; 2048]; 3] = [[0; 2048]; 3];
    static TSS: Once<TaskStateSegment> = Once::new();
    static GDT: Once<GlobalDescriptorTable> = Once::new();
    static IDT: Once<InterruptDescriptorTable> = Once::new();

    let mut tss = TaskStateSegment::new();
    let stacks: *const [u128; 2048] = (&raw const STACKS).cast();
    for index in 0..3 {
        tss.interrupt_stack_table[index] = VirtAddr::from_ptr(stacks.wrapping_add(index + 1));
    }
    let mut gdt = GlobalDescriptorTable::new();
    let code = gdt.append(Descriptor::kernel_code_segment());
    let data = gdt.append(Descriptor::kernel_data_segment());
    let task = gdt.append(Descriptor::tss_segment(TSS.call_once(|| tss)));
    GDT.call_once(|| gdt).load();

    let mut idt = InterruptDescriptorTable::new();
    // SAFETY: the segments are in the table that was just loaded. Each entry is that of its vector. Each of the exceptions
    // that use a stack of the table above has one of its own, since the handler of one may cause another.
    unsafe {
        CS::set_reg(code);
        SS::set_reg(data);
        load_tss(task);
        idt.divide_error.set_handler_addr(entry!(0, "push 0"));
        idt.invalid_opcode.set_handler_addr(entry!(6, "push 0"));
        idt.double_fault
            .set_handler_addr(entry!(8, ""))
            .set_stack_index(0);
        idt.general_protection_fault
            .set_handler_addr(entry!(13, ""))
            .set_stack_index(1);
        idt.page_fault
            .set_handler_addr(entry!(14, ""))
            .set_stack_index(2);
        idt[PIC_VECTOR + TIMER_LINE].set_handler_addr(entry!(32, "push 0"));
        idt[PIC_VECTOR + SERIAL_LINE].set_handler_addr(entry!(36, "push 0"));
        idt[PIC_VECTOR + 7].set_handler_addr(entry!(39, "push 0"));
    }
    IDT.call_once(|| idt).load();
}

/// Unmaps the guard pages, so that a fiber that overflows its stack faults before it damages anything.
fn unmap_guards(physical_memory_at: VirtAddr) {
    let level_4 = physical_memory_at + Cr3::read().0.start_address().as_u64();
    let flags = Cr0::read();
    // SAFETY: some firmware protects its page tables from being written; for the rest of this function it does not.
    unsafe { Cr0::write(flags - Cr0Flags::WRITE_PROTECT) };
    for stack in CLUMSY.stacks() {
        // SAFETY: these are the tables in use, and nobody else changes them. Nothing uses a guard.
        unsafe {
            let level_4 = &mut *level_4.as_mut_ptr::<PageTable>();
            let mut frames = Frames(physical_memory_at);
            guard::unmap(
                stack.storage_bounds(),
                level_4,
                physical_memory_at,
                &mut frames,
            )
        }
        .expect("the guard can be unmapped");
    }
    // SAFETY: as before.
    unsafe { Cr0::write(flags) };
    // SAFETY: nobody changes the table any more.
    unsafe { guard::check_exception_stacks(&guard::EXCEPTIONS) }.expect("both have stacks");
}

/// Some memory of the kernel's own for page tables, which the guards need where memory is mapped by huge pages.
struct Frames(VirtAddr);

// SAFETY: each frame is given once.
unsafe impl FrameAllocator<Size4KiB> for Frames {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        static mut FRAMES: [PageTable; 4] = [const { PageTable::new() }; 4];
        static TAKEN: AtomicUsize = AtomicUsize::new(0);
        let index = TAKEN.fetch_add(1, Ordering::Relaxed);
        let frame = (&raw mut FRAMES).cast::<PageTable>().wrapping_add(index);
        let level_4 = self.0 + Cr3::read().0.start_address().as_u64();
        // SAFETY: the tables in use, which nobody changes meanwhile.
        let tables = unsafe { OffsetPageTable::new(&mut *level_4.as_mut_ptr(), self.0) };
        let address = tables.translate_addr(VirtAddr::from_ptr(frame))?;
        (index < 4).then(|| PhysFrame::containing_address(address))
    }
}

/// Ends QEMU with status 0.
pub fn power_off() -> ! {
    // SAFETY: the power management of QEMU's machines is at this port; elsewhere the processor halts below.
    unsafe { Port::new(0x604).write(0x2000_u16) };
    halt()
}

/// Ends QEMU with status 35.
pub fn fail() -> ! {
    write(0xf4, 0x11);
    halt()
}

fn halt() -> ! {
    interrupts::disable();
    loop {
        x86_64::instructions::hlt();
    }
}
