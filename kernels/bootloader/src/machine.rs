//! The hardware: exceptions, a timer, a serial port, guard pages.

use core::arch::naked_asm;

use kfiber::hardware::{HardwareError, LocalApic, SerialPort, pic};
use kfiber::scheduler::overflow::Trap;
use kfiber::scheduler::{TrapFrame, fiber_faulted};
use kfiber::stack::guard::{self, TableFrames};
use spin::Once;
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, SS, Segment};
use x86_64::instructions::{hlt, interrupts, port::Port, tables::load_tss};
use x86_64::registers::control::Cr2;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::idt::InterruptDescriptorTable;
use x86_64::structures::tss::TaskStateSegment;

use crate::kernel::{CLUMSY, KEYS, SCHEDULER, println};

/// The vectors of interrupts: the timer's, the first of the interrupt controller's, and one that means nothing.
const TIMER: u8 = 0x40;
const PIC: u8 = 0x50;
const SERIAL: u8 = PIC + SerialPort::FIRST_LINE;
const SPURIOUS: u8 = 0xff;

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
    match vector {
        TIMER => {
            SCHEDULER.timer_interrupt();
            SCHEDULER.platform().timer().end_of_interrupt();
        }
        SERIAL => {
            while let Some(key) = SerialPort::FIRST.receive() {
                let _is_lost_if_full = KEYS.try_send(key);
            }
            pic::end_of_interrupt(SerialPort::FIRST_LINE);
        }
        SPURIOUS => {}
        _ => on_exception(vector, registers),
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
        println!(
            "kernel: exception {vector} at {:#x}: {why}",
            pushed.instruction_pointer
        );
        fail()
    }
}

/// Memory for page tables: a guard page within a huge page needs one more.
static FRAMES: TableFrames<4> = TableFrames::new();

/// To be called once, at boot. All physical memory is mapped from `physical_memory_at` on.
pub fn init(physical_memory_at: VirtAddr) -> Result<(), HardwareError> {
    SerialPort::FIRST.init()?;
    load_tables();
    // SAFETY: nobody else uses the page tables, and nobody uses a guard.
    unsafe { guard::unmap_in_use(&[&CLUMSY], physical_memory_at, &FRAMES) }
        .expect("the guards can be unmapped");
    pic::remap(PIC)?;
    // SAFETY: all page tables are mapped there, and the vector has a handler.
    let local_apic = unsafe { LocalApic::enable(physical_memory_at, SPURIOUS) }?;
    // SAFETY: nobody else uses this timer or the PIT, by which it is measured.
    unsafe { SCHEDULER.platform().timer().start(local_apic, TIMER) }?;
    SerialPort::FIRST.interrupt_on_input();
    // SAFETY: the line has a handler, as the other vectors have.
    unsafe { pic::unmask(SerialPort::FIRST_LINE) };
    interrupts::enable();
    Ok(())
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
        idt[TIMER].set_handler_addr(entry!(0x40, "push 0"));
        idt[SERIAL].set_handler_addr(entry!(0x54, "push 0"));
        idt[SPURIOUS].set_handler_addr(entry!(0xff, "push 0"));
    }
    IDT.call_once(|| idt).load();
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

fn halt() -> ! {
    interrupts::disable();
    loop {
        hlt();
    }
}
