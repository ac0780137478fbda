//! Exceptions arrive with all registers, on a stack of their own, and a test can take them over.

use core::{
    arch::asm,
    sync::atomic::{AtomicU64, Ordering},
};

use tests_qemu::{
    boot,
    exceptions::{self, TrapFrame},
    kernel_test, paging,
};
use x86_64::{
    PhysAddr, VirtAddr,
    instructions::tables::{lidt, sidt},
    registers::{control::Cr2, rflags::RFlags},
    structures::{
        DescriptorTablePointer,
        paging::{Mapper, PageTableFlags, PhysFrame, Size4KiB},
    },
};

const DEBUG: u8 = 1;
const BREAKPOINT: u8 = 3;
const INVALID_OPCODE: u8 = 6;
const PAGE_FAULT: u8 = 14;

static COUNT: AtomicU64 = AtomicU64::new(0);

#[repr(C, align(4096))]
struct OnePage([u8; 4096]);

static PAGE: OnePage = OnePage([7; 4096]);

kernel_test! {
    fn division_by_zero_faults() faults("#DE") {
        // SAFETY: The exception ends the run.
        unsafe { asm!("xor edx, edx", "xor ecx, ecx", "div ecx", out("eax") _, out("ecx") _, out("edx") _) };
    }

    fn a_non_canonical_address_faults() faults("#GP") {
        // SAFETY: The exception ends the run.
        unsafe { asm!("mov rax, [{}]", in(reg) 1_u64 << 63, out("rax") _) };
    }

    fn an_unused_vector_is_a_fault_of_its_own() faults("interrupt") {
        // SAFETY: The exception ends the run.
        unsafe { asm!("int 40") };
    }

    fn a_vector_without_entry_faults() faults("#GP") {
        // SAFETY: The exception ends the run.
        unsafe { asm!("int 200") };
    }

    /// The breakpoint cannot be pushed, and that is reported on the page fault's own stack.
    fn a_page_fault_is_reported_without_any_stack() faults("#PF") {
        // SAFETY: The exception ends the run.
        unsafe { asm!("mov rsp, 16", "int3") };
    }

    /// The table of interrupts ends before #GP, so that it cannot be delivered; and there is no stack either.
    fn a_double_fault_is_reported_without_any_stack() faults("#DF") {
        let table = DescriptorTablePointer { limit: 9 * 16 - 1, base: sidt().base };
        // SAFETY: The first nine gates are the same as before.
        unsafe { lidt(&table) };
        // SAFETY: The exception ends the run.
        unsafe { asm!("mov rsp, 16", "mov rax, [{}]", in(reg) 1_u64 << 63, out("rax") _) };
    }

    fn a_hook_that_does_not_want_it_reports_the_exception() faults("#UD") {
        exceptions::hook(INVALID_OPCODE, |frame| exceptions::report(frame));
        // SAFETY: The exception ends the run.
        unsafe { asm!("ud2") };
    }

    fn an_unhooked_vector_is_a_fault_again() faults("#BP") {
        exceptions::hook(BREAKPOINT, |_| {});
        // SAFETY: The hook returns.
        unsafe { asm!("int3") };
        exceptions::unhook(BREAKPOINT);
        // SAFETY: The exception ends the run.
        unsafe { asm!("int3") };
    }

    fn a_hook_sees_and_changes_every_register() {
        exceptions::hook(BREAKPOINT, |frame| {
            let TrapFrame { r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax, .. } = *frame;
            let seen = [rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15];
            assert_eq!(seen, core::array::from_fn(|index| 100 + index as u64));
            for register in [
                &mut frame.rax, &mut frame.rbx, &mut frame.rcx, &mut frame.rdx, &mut frame.rsi, &mut frame.rdi,
                &mut frame.rbp, &mut frame.r8, &mut frame.r9, &mut frame.r10, &mut frame.r11, &mut frame.r12,
                &mut frame.r13, &mut frame.r14, &mut frame.r15,
            ] {
                *register += 100;
            }
        });
        assert_eq!(all_registers_after_breakpoint(), core::array::from_fn(|index| 200 + index as u64));
    }

    fn a_hook_can_skip_an_instruction() {
        exceptions::hook(INVALID_OPCODE, |frame| {
            COUNT.fetch_add(1, Ordering::Relaxed);
            frame.rip += 2;
        });
        // SAFETY: The hook goes on behind the two bytes of the instruction.
        unsafe { asm!("ud2", "ud2", "ud2") };
        assert_eq!(COUNT.load(Ordering::Relaxed), 3);
    }

    fn single_stepping_counts_instructions() {
        exceptions::hook(DEBUG, |frame| {
            let (bottom, top) = boot::stack();
            assert!(!(bottom..top).contains(&(&raw const *frame as u64)), "the handler has no stack of its own");
            COUNT.fetch_add(1, Ordering::Relaxed);
            // Bit 0 of rdi tells that the walk is over.
            if frame.rdi == 1 {
                frame.rflags &= !RFlags::TRAP_FLAG.bits();
            }
        });
        // SAFETY: The flags are those of before plus the trap flag, and the handler clears it.
        unsafe {
            asm!(
                "pushfq", "or qword ptr [rsp], 0x100", "popfq",
                "nop", "nop", "xor eax, eax", "push rax", "pop rax", "mov edi, 1", "nop",
                out("rax") _, inout("rdi") 0_u64 => _,
            );
        };
        // The trap comes after each instruction that began with the flag set: six from `nop` to `mov`.
        assert_eq!(COUNT.load(Ordering::Relaxed), 6);
    }

    fn a_hook_can_map_a_missing_page() {
        let page = &raw const PAGE as u64;
        paging::unmap(page);
        assert!(!paging::is_mapped(page));
        exceptions::hook(PAGE_FAULT, |frame| {
            let page = &raw const PAGE as u64;
            assert_eq!((Cr2::read_raw(), frame.error_code), (page + 5, 0), "a read of what is not mapped");
            let frame = PhysFrame::<Size4KiB>::containing_address(PhysAddr::new(page));
            // SAFETY: No other table is in use.
            let mut table = unsafe { paging::table() };
            let flags = PageTableFlags::PRESENT | PageTableFlags::WRITABLE;
            // SAFETY: It was mapped to this frame before.
            unsafe { table.identity_map(frame, flags, &mut paging::FramePool) }.expect("unmapped before").flush();
            COUNT.fetch_add(1, Ordering::Relaxed);
        });
        // SAFETY: Within the static; the hook maps it.
        assert_eq!(unsafe { (&raw const PAGE).cast::<u8>().wrapping_add(5).read_volatile() }, 7);
        assert_eq!(COUNT.load(Ordering::Relaxed), 1);
        assert_eq!(paging::physical(page), Some(page));
    }

    fn the_stack_of_each_exception_has_a_guard() {
        exceptions::hook(INVALID_OPCODE, |frame| {
            let here = VirtAddr::from_ptr(frame).align_down(4096_u64).as_u64();
            let distance = (1..64).find(|pages| !paging::is_mapped(here - pages * 4096));
            assert!(distance.is_some(), "no unmapped page within 256 KiB below {here:#x}");
            frame.rip += 2;
            COUNT.fetch_add(1, Ordering::Relaxed);
        });
        // SAFETY: The hook goes on behind it.
        unsafe { asm!("ud2") };
        assert_eq!(COUNT.load(Ordering::Relaxed), 1);
    }
}

/// Loads 100, 101, … into all registers but rsp, and returns what they are after a breakpoint.
pub(crate) fn all_registers_after_breakpoint() -> [u64; 15] {
    let mut registers = [0; 15];
    // SAFETY: All registers are declared or saved here; the pointer is kept on the stack.
    unsafe {
        asm!(
            "push rbx", "push rbp", "push rdi",
            "mov eax, 100", "mov ebx, 101", "mov ecx, 102", "mov edx, 103", "mov esi, 104", "mov edi, 105",
            "mov ebp, 106", "mov r8d, 107", "mov r9d, 108", "mov r10d, 109", "mov r11d, 110", "mov r12d, 111",
            "mov r13d, 112", "mov r14d, 113", "mov r15d, 114",
            "int3",
            "xchg rdi, [rsp]",
            "mov [rdi], rax", "mov [rdi + 8], rbx", "mov [rdi + 16], rcx", "mov [rdi + 24], rdx",
            "mov [rdi + 32], rsi", "mov [rdi + 48], rbp", "mov [rdi + 56], r8", "mov [rdi + 64], r9",
            "mov [rdi + 72], r10", "mov [rdi + 80], r11", "mov [rdi + 88], r12", "mov [rdi + 96], r13",
            "mov [rdi + 104], r14", "mov [rdi + 112], r15",
            "pop rax", "mov [rdi + 40], rax",
            "pop rbp", "pop rbx",
            inout("rdi") registers.as_mut_ptr() => _,
            out("rax") _, out("rcx") _, out("rdx") _, out("rsi") _, out("r8") _, out("r9") _, out("r10") _,
            out("r11") _, out("r12") _, out("r13") _, out("r14") _, out("r15") _,
        );
    };
    registers
}
