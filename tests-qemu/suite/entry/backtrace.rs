//! A backtrace goes through a stub into the fiber that was interrupted, from every instruction of the stub and its handler.
//!
//! The processor clears the trap flag when it enters a stub, so a stub cannot be stepped through in this way. Here a stub is
//! entered by a jump instead, with the frame that the processor would have pushed, and with the trap flag set.

use core::arch::{asm, naked_asm};
use core::hint::black_box;

use kfiber::{exceptions::TrapFrame, interrupt_entry};
use tests_qemu::{exceptions, kernel_test, println};
use tests_unwind::{Registers, Unwinder};

use super::{SCHEDULER, run};
use crate::unwinding::{DEBUG, Kept, interrupted, registers, unwinder};

const MAX_CALLERS: usize = 32;

interrupt_entry! {
    fn without_error_code(frame: &mut TrapFrame) { on_interrupt(frame); }
    fn with_error_code(frame: &mut TrapFrame) vector(14) { on_interrupt(frame); }
    fn with_a_long_vector(frame: &mut TrapFrame) vector(200) { on_interrupt(frame); }
    fn without_a_frame() vector(201) { on_interrupt_without_a_frame(); }
}

/// The stub that a hard-float kernel gets.
#[unsafe(naked)]
unsafe extern "sysv64" fn with_sse() {
    extern "sysv64" fn handler(frame: &mut TrapFrame) {
        on_interrupt(frame);
    }
    kfiber::__interrupt_entry_sse!(handler, TrapFrame::NO_VECTOR)
}

/// The stub without a frame that a hard-float kernel gets.
#[unsafe(naked)]
unsafe extern "sysv64" fn without_a_frame_with_sse() {
    extern "sysv64" fn handler() {
        on_interrupt_without_a_frame();
    }
    kfiber::__interrupt_entry_short_sse!(handler, TrapFrame::NO_VECTOR)
}

/// As [`on_interrupt`], and it changes each register that a function may change.
#[inline(never)]
fn on_interrupt_without_a_frame() {
    let local = black_box([7; 4]);
    black_box(leaf(&local));
    // SAFETY: it changes nothing but what it says.
    unsafe {
        asm!(
            "mov rax, -1",
            "mov rcx, -1",
            "mov rdx, -1",
            "mov rsi, -1",
            "mov rdi, -1",
            "mov r8, -1",
            "mov r9, -1",
            "mov r10, -1",
            "mov r11, -1",
            "std",
            "cld",
            clobber_abi("sysv64"),
        );
    }
}

/// A handler with a frame of its own, and with a call that changes registers.
#[inline(never)]
fn on_interrupt(frame: &mut TrapFrame) {
    let error_code = if frame.vector == 14 { ERROR_CODE } else { 0 };
    assert!(frame.error_code == error_code);
    let local = black_box([frame.rip; 4]);
    black_box(leaf(&local));
}

#[inline(never)]
const fn leaf(words: &[u64; 4]) -> u64 {
    black_box(words[0]) ^ black_box(words[3])
}

const ERROR_CODE: u64 = 0x1234;

/// Enters a stub as the processor does, and steps through it until it returns.
///
/// # Safety
///
/// `stub` is an entry for a vector with an error code if `error_code` is not 0, and otherwise one without. `#DB` is handled.
#[unsafe(naked)]
unsafe extern "sysv64" fn enter(stub: unsafe extern "sysv64" fn(), error_code: u64) {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbp, 0",
        "push rbx",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbx, 0",
        "push r12",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r12, 0",
        "push r13",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r13, 0",
        "push r14",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r14, 0",
        "push r15",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r15, 0",
        "mov rax, rsp",
        "and rsp, -16",
        "mov ecx, ss",
        "push rcx",
        "push rax",
        "pushfq",
        "mov ecx, cs",
        "push rcx",
        "lea rcx, [rip + 3f]",
        "push rcx",
        "test rsi, rsi",
        "jz 2f",
        "push rsi",
        "2:",
        "push rdi",
        // Each register has a value of its own.
        "mov eax, 0x101",
        "mov ebx, 0x102",
        "mov ecx, 0x103",
        "mov edx, 0x104",
        "mov esi, 0x105",
        "mov edi, 0x106",
        "mov ebp, 0x107",
        "mov r8d, 0x108",
        "mov r9d, 0x109",
        "mov r10d, 0x10a",
        "mov r11d, 0x10b",
        "mov r12d, 0x10c",
        "mov r13d, 0x10d",
        "mov r14d, 0x10e",
        "mov r15d, 0x10f",
        "pushfq",
        "or qword ptr [rsp], 0x100",
        "popfq", // the trap comes after the next instruction
        // Whoever looks up the byte before the interrupted instruction finds no caller.
        ".cfi_remember_state",
        ".cfi_undefined rip",
        "ret", // to the stub
        "3:",
        ".cfi_restore_state",
        ".globl kfiber_test_interrupted",
        "kfiber_test_interrupted:",
        "pop r15",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r15",
        "pop r14",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r14",
        "pop r13",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r13",
        "pop r12",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r12",
        "pop rbx",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore rbx",
        "pop rbp",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore rbp",
        "ret",
        ".cfi_endproc",
    )
}

unsafe extern "C" {
    /// Where the code that `enter` interrupts goes on.
    fn kfiber_test_interrupted();
}

struct Watch {
    unwinder: Unwinder,
    /// The stub that is stepped through.
    stub: u64,
    /// The interrupted code and its callers, with all their registers, as the first step found them.
    expected: [Registers; MAX_CALLERS],
    count: usize,
    steps: u64,
    in_stub: u64,
    wrong: u64,
}

static WATCH: Kept<Watch> = Kept::nothing();

fn load() {
    WATCH.fill(Watch {
        unwinder: unwinder(),
        stub: 0,
        expected: [Registers::default(); MAX_CALLERS],
        count: 0,
        steps: 0,
        in_stub: 0,
        wrong: 0,
    });
    exceptions::hook(DEBUG, on_step);
}

fn on_step(frame: &mut TrapFrame) {
    let watch = WATCH.get();
    if frame.rip == kfiber_test_interrupted as *const () as u64 {
        // The interrupted code goes on, without the trap flag, and with the registers that every walk has found.
        watch.judge(frame, true);
        return;
    }
    watch.steps += 1;
    let is_in_stub = watch.unwinder.function(frame.rip) == Some(watch.stub);
    watch.in_stub += u64::from(is_in_stub);
    if watch.steps == 1 {
        assert_eq!(
            frame.rip, watch.stub,
            "the first instruction of the stub is next"
        );
        watch.learn(frame);
    }
    watch.judge(frame, false);
}

impl Watch {
    /// Notes what the interrupted code has in its registers, without the stub's rules: the stub has executed nothing, and
    /// the frame is at the stack pointer.
    fn learn(&mut self, frame: &TrapFrame) {
        let has_error_code = self.stub == with_error_code as *const () as u64;
        let pushed = frame.rsp + if has_error_code { 8 } else { 0 };
        let word = |index: u64| tests_unwind::read(pushed + 8 * index).expect("on the stack");
        assert_eq!(word(0), kfiber_test_interrupted as *const () as u64);
        let start = registers(frame, word(0), word(3));
        self.expected[0] = start;
        self.count = 1;
        let (expected, count) = (&mut self.expected, &mut self.count);
        let walked = self.unwinder.walk(start, |caller| {
            expected[*count] = *caller;
            *count += 1;
            true
        });
        walked.expect("the interrupted code can be unwound");
        assert!(self.count >= 3, "the interrupted code has callers");
    }

    /// Walks, and counts the walk as wrong unless it goes through the interrupted code to its outermost caller.
    fn judge(&mut self, frame: &TrapFrame, is_back: bool) {
        let place = kfiber_test_interrupted as *const () as u64;
        let start = interrupted(frame);
        let expected = &self.expected[..self.count];
        let mut found = if is_back {
            usize::from(start == expected[0])
        } else {
            0
        };
        let mut is_right = true;
        let walked = self.unwinder.walk(start, |caller| {
            if found > 0 || caller.ip() == place {
                is_right &= expected.get(found) == Some(caller);
                found += 1;
            }
            true
        });
        if walked.is_err() || !is_right || found != self.count {
            self.wrong += 1;
            if self.wrong <= 3 {
                println!(
                    "wrong at rip={:#x} in {:x?}: {walked:?}, {found} of {}",
                    frame.rip,
                    self.unwinder.function(frame.rip),
                    self.count
                );
            }
        }
    }
}

#[inline(never)]
fn step_through(stub: unsafe extern "sysv64" fn(), error_code: u64, fewest: u64) {
    let watch = WATCH.get();
    (watch.steps, watch.in_stub, watch.wrong) = (0, 0, 0);
    watch.stub = stub as *const () as u64;
    // SAFETY: the stub has an error code if there is one; `load` hooked `#DB`.
    unsafe { enter(stub, error_code) };
    let watch = WATCH.get();
    println!(
        "steps={} in_stub={} wrong={} callers={}",
        watch.steps, watch.in_stub, watch.wrong, watch.count
    );
    assert_eq!(watch.wrong, 0, "wrong walks");
    // 15 pushes, 15 pops, or 9 of each without a frame, and what is around them.
    assert!(
        watch.in_stub >= fewest && watch.steps > watch.in_stub + 20,
        "too few steps"
    );
}

fn all() {
    step_through(without_error_code, 0, 40);
    step_through(with_error_code, ERROR_CODE, 40);
    step_through(with_a_long_vector, 0, 40);
    step_through(with_sse, 0, 40);
    step_through(without_a_frame, 0, 25);
    step_through(without_a_frame_with_sse, 0, 27);
}

kernel_test! {
    fn at_every_instruction_of_a_stub_a_backtrace_goes_through_to_the_kernel_s_entry() debug_frame timeout(60) {
        load();
        all();
    }

    fn at_every_instruction_of_a_stub_a_backtrace_goes_through_to_the_fiber_s_first_frame() debug_frame timeout(60) {
        load();
        let fiber = SCHEDULER.spawn(&super::CELLS, all).expect("a cell is free");
        run();
        fiber.try_join().expect("it returned");
    }
}
