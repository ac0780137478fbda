//! The ways into user mode and back, as a kernel has them: `iretq` there, system calls by `int` and by `syscall`.

use core::arch::naked_asm;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use kfiber::exceptions::{self, ExceptionStacks, TrapFrame};
use kfiber::interrupt_entry;
use kfiber::scheduler::{FatalReason, yield_now};
use kfiber::switch_state::KernelStack;
use kfiber::sync::IrqMutex;
use tests_qemu::exceptions::{TIMER_VECTOR, USER_CODE, USER_DATA, task_state_segment};
use tests_qemu::interrupts::end_of_interrupt;
use tests_qemu::{cores, println, run};
use x86_64::instructions::{
    interrupts,
    segmentation::{CS, Segment as _},
};
use x86_64::registers::model_specific::{Efer, EferFlags, GsBase, LStar, Msr, SFMask};
use x86_64::registers::rflags::RFlags;
use x86_64::structures::idt::InterruptDescriptorTable;
use x86_64::{PrivilegeLevel, VirtAddr};

use super::{DATA, PROGRAM, SCHEDULER};

/// The vector of system calls.
const SYSTEM_CALL: u8 = 42;
const EXIT: u64 = 0;
const YIELD: u64 = 1;

static IDT: IrqMutex<InterruptDescriptorTable> = IrqMutex::new(InterruptDescriptorTable::new());

/// How many timer interrupts came in user mode.
pub(super) static USER_TICKS: AtomicU64 = AtomicU64::new(0);
/// Where the third of them writes a number.
pub(super) static TICK_WRITES_TO: AtomicPtr<u64> = AtomicPtr::new(core::ptr::null_mut());

/// Asserts that the kernel has its own GS base, by which it finds its core, and with the feature `smp` kfiber its words.
pub(super) fn assert_kernel_gs() {
    assert_eq!(GsBase::read(), cores::gs_base(0), "the kernel's GS base");
}

interrupt_entry! {
    fn system_call(frame: &mut TrapFrame) vector(SYSTEM_CALL) {
        assert_kernel_gs();
        assert!(frame.is_from_user_mode());
        if frame.rax == EXIT {
            frame.rax = frame.rsi;
            frame.rip = leave as *const () as u64;
            frame.cs = CS::get_reg().0.into();
            frame.ss = 0;
            frame.rflags = RFlags::INTERRUPT_FLAG.bits();
            // The frame ends where the processor began to push, which is where `enter_user` set the stack.
            frame.rsp = (&raw const *frame).wrapping_add(1).addr() as u64;
        } else {
            frame.rax = call(frame.rax);
        }
    }

    fn tick(frame: &mut TrapFrame) vector(TIMER_VECTOR) {
        assert_kernel_gs();
        SCHEDULER.timer_interrupt();
        if frame.is_from_user_mode() && USER_TICKS.fetch_add(1, Ordering::Relaxed) == 2 {
            let place = TICK_WRITES_TO.load(Ordering::Relaxed);
            // SAFETY: the test stored the address of a word that the kernel does not use.
            unsafe { place.write_volatile(1000) };
        }
        end_of_interrupt();
    }
}

/// A system call that returns. It is the fiber's code, so it may wait.
extern "sysv64" fn call(number: u64) -> u64 {
    assert_kernel_gs();
    assert_eq!(number, YIELD, "a system call");
    interrupts::enable();
    yield_now();
    interrupts::disable();
    assert_kernel_gs();
    0
}

/// The entry for `syscall`: rcx and r11 hold rip and rflags, interrupts are off, and the stack is the user's.
#[unsafe(naked)]
unsafe extern "sysv64" fn fast_system_call() {
    naked_asm!(
        "swapgs",
        "mov gs:[{words} + 8], rsp",
        "mov rsp, gs:[{words}]",
        "mov rsp, [rsp + 4]", // rsp0
        "test eax, eax",
        "jz 2f",
        "push qword ptr gs:[{words} + 8]",
        "push rcx",
        "push r11",
        "push rdi",
        "push rsi",
        "push rdx",
        "push r8",
        "push r9",
        "push r10",
        "sub rsp, 8",
        "mov rdi, rax",
        "call {call}",
        "add rsp, 8",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        "pop r11",
        "pop rcx",
        "pop rsp",
        "swapgs",
        "sysretq",
        "2:", // exit
        "mov rax, rsi",
        "sti",
        "jmp {leave}",
        call = sym call,
        leave = sym leave,
        words = const cores::SYSTEM_CALLS_AT,
    )
}

/// Enters user mode, with the fiber's stack from here on as the stack for interrupts. Returns what the program ends with.
///
/// # Safety
///
/// The running fiber has this state. A program is at `rip`.
#[unsafe(naked)]
unsafe extern "sysv64" fn enter_user(stack: &KernelStack, number: u64, rip: u64, rsp: u64) -> u64 {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "mov r12, rsi",
        "mov r13, rdx",
        "mov r14, rcx",
        "mov rsi, rsp",
        "call {set}",
        "cli",
        "push {data}",
        "push r14",
        "push 0x202",
        "push {code}",
        "push r13",
        "mov rdi, r12",
        "xor eax, eax",
        "xor ebx, ebx",
        "xor ecx, ecx",
        "xor edx, edx",
        "xor esi, esi",
        "xor ebp, ebp",
        "xor r8d, r8d",
        "xor r9d, r9d",
        "xor r10d, r10d",
        "xor r11d, r11d",
        "xor r12d, r12d",
        "xor r13d, r13d",
        "xor r14d, r14d",
        "xor r15d, r15d",
        "swapgs",
        "iretq",
        set = sym set_stack,
        data = const USER_DATA,
        code = const USER_CODE,
    )
}

/// Where a program leaves to: the stack pointer is where `enter_user` set the stack, and rax is the result.
#[unsafe(naked)]
unsafe extern "sysv64" fn leave() {
    naked_asm!(
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

extern "sysv64" fn set_stack(stack: &KernelStack, top: *mut u8) {
    // SAFETY: the fiber has this state, and its stack is free below.
    unsafe { stack.set(top) };
}

/// Runs the program of the running fiber's address space to its end.
pub(super) fn enter(stack: &KernelStack, number: u64) -> u64 {
    assert_kernel_gs();
    // SAFETY: the caller's process has this state and a program.
    let result = unsafe { enter_user(stack, number, PROGRAM, DATA + 0x1000) };
    assert_kernel_gs();
    result
}

fn on_fatal(frame: &TrapFrame, why: FatalReason) -> ! {
    println!("{frame}");
    run::fail(format_args!("vector {} was fatal: {why}", frame.vector));
}

/// Loads a table with the entries, and makes `syscall` work.
pub(super) fn init() {
    cores::set_task_state_segment(0, task_state_segment());
    let mut idt = IDT.lock();
    let stacks = ExceptionStacks::new(0, 4, 3);
    // SAFETY: the harness' task state segment has these stacks.
    unsafe { exceptions::install(&mut idt, stacks, on_fatal) };
    let gate = &mut idt[SYSTEM_CALL];
    // SAFETY: the entry is for this vector.
    let options = unsafe { gate.set_handler_addr(VirtAddr::new(system_call as *const () as u64)) };
    options.set_privilege_level(PrivilegeLevel::Ring3);
    let gate = &mut idt[TIMER_VECTOR];
    // SAFETY: the entry is for this vector.
    unsafe { gate.set_handler_addr(VirtAddr::new(tick as *const () as u64)) };
    // SAFETY: the table is in a static, and is changed only here.
    unsafe { idt.load_unsafe() };

    // SAFETY: the entry below is made for it.
    unsafe { Efer::update(|flags| flags.insert(EferFlags::SYSTEM_CALL_EXTENSIONS)) };
    // The kernel's code segment, and what lies 8 below the user's data segment, behind which is its code segment.
    let selectors = u64::from(CS::get_reg().0) << 32 | u64::from(USER_DATA - 8) << 48;
    // SAFETY: STAR; the harness' table has the segments in this order.
    unsafe { Msr::new(0xc000_0081).write(selectors) };
    LStar::write(VirtAddr::new(fast_system_call as *const () as u64));
    SFMask::write(RFlags::INTERRUPT_FLAG | RFlags::DIRECTION_FLAG | RFlags::TRAP_FLAG);
}
