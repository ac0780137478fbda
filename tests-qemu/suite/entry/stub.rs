//! The stub itself: registers, flags, alignment, error codes, stacks.

use core::{
    arch::asm,
    sync::atomic::{AtomicU64, Ordering},
};

use kfiber::{exceptions::TrapFrame, interrupt_entry};
use tests_qemu::{
    boot,
    exceptions::{self, TIMER_VECTOR},
    interrupts::{end_of_interrupt, start_one_shot},
    kernel_test,
};
use x86_64::registers::rflags::{self, RFlags};

use crate::harness::traps::all_registers_after_breakpoint;

static COUNT: AtomicU64 = AtomicU64::new(0);
static SEEN: AtomicU64 = AtomicU64::new(0);

interrupt_entry! {
    fn changes_all(frame: &mut TrapFrame) vector(3) {
        let TrapFrame { r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax, .. } = *frame;
        let seen = [rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15];
        assert_eq!(seen, core::array::from_fn(|index| 100 + index as u64));
        assert_eq!((frame.vector, frame.error_code), (3, 0));
        for register in [
            &mut frame.rax, &mut frame.rbx, &mut frame.rcx, &mut frame.rdx, &mut frame.rsi, &mut frame.rdi,
            &mut frame.rbp, &mut frame.r8, &mut frame.r9, &mut frame.r10, &mut frame.r11, &mut frame.r12,
            &mut frame.r13, &mut frame.r14, &mut frame.r15,
        ] {
            *register += 100;
        }
    }

    fn checks_flags_and_alignment(frame: &mut TrapFrame) {
        assert_eq!(frame.vector, TrapFrame::NO_VECTOR);
        assert!(!rflags::read().intersects(RFlags::DIRECTION_FLAG | RFlags::INTERRUPT_FLAG));
        assert!((&raw const *frame).addr().is_multiple_of(16));
        if frame.rflags & RFlags::DIRECTION_FLAG.bits() != 0 {
            SEEN.fetch_add(1, Ordering::Relaxed);
        }
        COUNT.fetch_add(1, Ordering::Relaxed);
    }

    fn skips_with_error_code(frame: &mut TrapFrame) vector(13) {
        assert!((&raw const *frame).addr().is_multiple_of(16));
        assert_eq!(frame.vector, 13);
        SEEN.store(frame.error_code, Ordering::Relaxed);
        frame.rip += 2;
    }

    fn ticks(frame: &mut TrapFrame) vector(TIMER_VECTOR) {
        assert_eq!(frame.vector, 32);
        COUNT.fetch_add(1, Ordering::Relaxed);
        end_of_interrupt();
    }

    fn changes_what_a_function_may() {
        // SAFETY: it changes nothing but what it says.
        unsafe {
            asm!(
                "mov rax, -1", "mov rcx, -1", "mov rdx, -1", "mov rsi, -1", "mov rdi, -1", "mov r8, -1", "mov r9, -1",
                "mov r10, -1", "mov r11, -1", clobber_abi("sysv64"),
            );
        }
        assert!(!rflags::read().intersects(RFlags::DIRECTION_FLAG | RFlags::INTERRUPT_FLAG));
        COUNT.fetch_add(1, Ordering::Relaxed);
    }

    fn notes_its_stack(frame: &mut TrapFrame) {
        SEEN.store((&raw const *frame).addr() as u64, Ordering::Relaxed);
        frame.rip += 2;
    }
}

/// The stub that a hard-float kernel gets. This kernel has no use for it but to see that it is right.
#[unsafe(naked)]
unsafe extern "sysv64" fn saves_sse() {
    extern "sysv64" fn handler(frame: &mut TrapFrame) {
        assert!((&raw const *frame).addr().is_multiple_of(16));
        // SAFETY: no compiled code here uses the register.
        unsafe { asm!("xorps xmm5, xmm5", "xorps xmm15, xmm15", "fninit") };
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
    kfiber::__interrupt_entry_sse!(handler, TrapFrame::NO_VECTOR)
}

/// Whether the last frame was on the boot stack.
fn was_on_boot_stack() -> bool {
    let (bottom, top) = boot::stack();
    (bottom..top).contains(&SEEN.load(Ordering::Relaxed))
}

kernel_test! {
    fn a_handler_sees_and_changes_every_register() {
        // SAFETY: the stub is for this vector.
        unsafe { exceptions::set_entry(3, changes_all) };
        assert_eq!(all_registers_after_breakpoint(), core::array::from_fn(|index| 200 + index as u64));
    }

    fn an_entry_without_a_frame_keeps_every_register() {
        // SAFETY: the stub is for any vector without an error code.
        unsafe { exceptions::set_entry(3, changes_what_a_function_may) };
        assert_eq!(all_registers_after_breakpoint(), core::array::from_fn(|index| 100 + index as u64));
        assert_eq!(COUNT.load(Ordering::Relaxed), 1);
    }

    fn the_direction_flag_is_clear_in_the_handler_and_as_it_was_afterwards() {
        // SAFETY: the stub is for any vector without an error code.
        unsafe { exceptions::set_entry(3, checks_flags_and_alignment) };
        let flags: u64;
        // SAFETY: the flag is clear again before compiled code runs.
        unsafe { asm!("std", "int3", "pushfq", "cld", "pop {}", out(reg) flags) };
        assert!(flags & RFlags::DIRECTION_FLAG.bits() != 0);
        assert_eq!((COUNT.load(Ordering::Relaxed), SEEN.load(Ordering::Relaxed)), (1, 1));
    }

    fn the_handler_s_stack_is_aligned_wherever_the_interrupt_comes() {
        // SAFETY: the stub is for any vector without an error code.
        unsafe { exceptions::set_entry(3, checks_flags_and_alignment) };
        for bytes in 0..64_u64 {
            // SAFETY: the stack pointer is as it was afterwards, and no memory is accessed by it.
            unsafe { asm!("sub rsp, {0}", "int3", "add rsp, {0}", in(reg) bytes) };
        }
        assert_eq!(COUNT.load(Ordering::Relaxed), 64);
    }

    fn an_error_code_is_in_the_frame_and_is_taken_off_the_stack() {
        // SAFETY: the stub is for this vector.
        unsafe { exceptions::set_entry(13, skips_with_error_code) };
        let (before, after): (u64, u64);
        // SAFETY: the handler goes on behind the two bytes of `mov ds, eax`, so that no segment is loaded.
        unsafe { asm!("mov {}, rsp", ".byte 0x8e, 0xd8", "mov {}, rsp", out(reg) before, out(reg) after, in("eax") 0x1238) };
        assert_eq!(before, after);
        // The selector of a segment that is not in the table.
        assert_eq!(SEEN.load(Ordering::Relaxed), 0x1238);
    }

    fn the_stub_of_a_hard_float_kernel_keeps_the_sse_and_x87_registers() {
        // SAFETY: the stub is for any vector without an error code.
        unsafe { exceptions::set_entry(3, saves_sse) };
        let (low, high): (u64, u64);
        let (control, mut kept) = (0x027f_u16, 0_u16);
        // SAFETY: no compiled code here uses these registers.
        unsafe {
            asm!(
                "fldcw [{control}]", "movq xmm5, {a}", "movq xmm15, {b}", "int3",
                "movq {a}, xmm5", "movq {b}, xmm15", "fnstcw [{kept}]",
                a = inout(reg) 0x1234_5678_9abc_def0_u64 => low, b = inout(reg) 77_u64 => high,
                control = in(reg) &raw const control, kept = in(reg) &raw mut kept,
            );
        };
        assert_eq!((low, high, kept), (0x1234_5678_9abc_def0, 77, control));
        assert_eq!(COUNT.load(Ordering::Relaxed), 1);
    }

    fn a_device_s_interrupt_enters_and_returns() {
        // SAFETY: the stub is for this vector.
        unsafe { exceptions::set_entry(TIMER_VECTOR, ticks) };
        start_one_shot(100_000);
        let after: u64;
        // SAFETY: the handler keeps all registers. Without a tick the run ends at the runner's deadline.
        unsafe { asm!("sti", "hlt", "cli", inout("r12") 0x5eed_u64 => after) };
        assert_eq!((COUNT.load(Ordering::Relaxed), after), (1, 0x5eed));
    }

    fn a_gate_with_an_ist_stack_uses_it_and_one_without_does_not() {
        for stack in [None, Some(5)] {
            // SAFETY: the stub is for any vector without an error code.
            unsafe { exceptions::set_entry_on(6, notes_its_stack, stack) };
            // SAFETY: the handler goes on behind the two bytes.
            unsafe { asm!("ud2") };
            assert_eq!(was_on_boot_stack(), stack.is_none());
        }
    }
}
