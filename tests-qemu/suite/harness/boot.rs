//! The machine is in the state that `boot.rs` and `paging.rs` promise.

use core::{
    arch::{asm, naked_asm},
    cell::UnsafeCell,
    hint::black_box,
    ptr,
};

use tests_qemu::{
    boot, command_line, kernel_test, paging,
    protocol::{SEED_KEY, TEST_KEY},
    start_info,
};
use x86_64::{
    registers::{
        control::{Cr0, Cr0Flags, Cr4, Cr4Flags, Efer, EferFlags},
        rflags::{self, RFlags},
    },
    structures::paging::PageTableFlags,
};

const ZEROS: usize = 256 * 1024;

/// Nothing has ever written to it.
static UNTOUCHED: Cell<[u8; ZEROS]> = Cell(UnsafeCell::new([0; ZEROS]));
static INITIALISED: Cell<u64> = Cell(UnsafeCell::new(0x0123_4567_89ab_cdef));

struct Cell<T>(UnsafeCell<T>);

// SAFETY: There is one core, and no interrupt handler uses it.
unsafe impl<T> Sync for Cell<T> {}

kernel_test! {
    fn the_command_line_names_this_test() {
        assert_eq!(command_line::value(TEST_KEY), Some("harness::boot::the_command_line_names_this_test"));
        assert_eq!(command_line::value("absent="), None);
    }

    fn the_command_line_carries_a_seed() {
        assert!(command_line::number(SEED_KEY).is_some(), "no seed in `{}`", start_info::command_line());
    }

    fn without_initrd_there_is_no_module() {
        assert!(start_info::module().is_none());
    }

    fn bss_is_zero_and_data_is_not() {
        let bytes = UNTOUCHED.0.get().cast::<u8>();
        for offset in 0..ZEROS {
            // SAFETY: Within the static.
            let byte = unsafe { bytes.wrapping_add(offset).read_volatile() };
            assert_eq!(byte, 0, "at offset {offset}");
        }
        // SAFETY: A static that nobody changes.
        assert_eq!(unsafe { INITIALISED.0.get().read_volatile() }, 0x0123_4567_89ab_cdef);
    }

    fn the_stack_is_aligned_as_the_abi_demands() {
        assert_eq!(boot::entry_rsp() % 16, 0);
        // The compiler keeps the alignment that it was given, so this checks all callers too.
        assert_eq!(rsp_before_the_call() % 16, 0);
    }

    fn the_test_runs_on_the_boot_stack() {
        let (bottom, top) = boot::stack();
        let rsp = rsp_before_the_call();
        assert!((bottom..top).contains(&rsp), "{rsp:#x} is outside of {bottom:#x}..{top:#x}");
        assert_eq!(boot::entry_rsp(), top);
    }

    fn control_registers_are_those_of_a_careful_kernel() {
        assert!(Cr0::read().contains(Cr0Flags::WRITE_PROTECT | Cr0Flags::NUMERIC_ERROR));
        assert!(Cr4::read().contains(Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE));
        assert!(Efer::read().contains(EferFlags::NO_EXECUTE_ENABLE | EferFlags::LONG_MODE_ACTIVE));
    }

    fn flags_are_clear_at_the_start() {
        let bad = RFlags::INTERRUPT_FLAG | RFlags::DIRECTION_FLAG | RFlags::TRAP_FLAG | RFlags::ALIGNMENT_CHECK;
        assert!(!rflags::read().intersects(bad | RFlags::NESTED_TASK), "{:?}", rflags::read());
    }

    fn sse_instructions_work() {
        let result: u64;
        // SAFETY: The target is soft-float, so that the compiler has nothing in these registers.
        unsafe { asm!("movq xmm0, {}", "paddq xmm0, xmm0", "movq {}, xmm0", in(reg) 21_u64, out(reg) result) };
        assert_eq!(result, 42);
    }

    fn a_null_pointer_faults() faults("#PF") {
        // SAFETY: Page 0 is not mapped; the fault ends the run.
        unsafe { black_box(ptr::null::<u8>()).read_volatile() };
    }

    fn code_cannot_be_overwritten() faults("#PF") {
        let code = rsp_before_the_call as *mut u8;
        // SAFETY: The page is read-only; the fault ends the run.
        unsafe { code.write_volatile(0) };
    }

    fn constants_cannot_be_overwritten() faults("#PF") {
        static CONSTANT: u64 = 42;
        // SAFETY: The page is read-only; the fault ends the run.
        unsafe { (&raw const CONSTANT).cast_mut().write_volatile(0) };
    }

    fn an_overflow_of_the_boot_stack_faults() faults("#PF") {
        recurse(black_box(u64::MAX));
    }

    fn a_page_below_the_boot_stack_is_not_mapped() {
        let (bottom, top) = boot::stack();
        assert!(!paging::is_mapped(bottom - 1));
        assert!(!paging::is_mapped(bottom - 4096));
        assert!(paging::is_mapped(bottom - 4097));
        assert!(paging::is_mapped(bottom));
        assert!(paging::is_mapped(top - 1));
    }

    /// The memory at 256 MiB need not exist for that; the machine has less.
    fn a_huge_page_is_split_into_the_same_mapping() {
        let huge = 0x1000_0000;
        let before = paging::flags(huge).expect("mapped by pages of 2 MiB");
        assert!(before.contains(PageTableFlags::HUGE_PAGE));
        paging::split(huge);
        for address in (huge..huge + 0x20_0000).step_by(4096) {
            let flags = paging::flags(address).expect("still mapped");
            assert!(!flags.contains(PageTableFlags::HUGE_PAGE), "at {address:#x}");
            assert_eq!(paging::physical(address + 5), Some(address + 5));
        }
        assert!(paging::flags(huge + 0x20_0000).expect("not split").contains(PageTableFlags::HUGE_PAGE));
        paging::unmap(huge + 0x3000);
        assert!(!paging::is_mapped(huge + 0x3fff));
        assert!(paging::is_mapped(huge + 0x4000));
    }
}

/// Returns the caller's stack pointer at the call.
#[unsafe(naked)]
extern "C" fn rsp_before_the_call() -> u64 {
    naked_asm!("lea rax, [rsp + 8]", "ret")
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let mut frame = [depth; 32];
    if depth > 0 {
        black_box(&mut frame);
        recurse(depth - 1) + frame[0]
    } else {
        0
    }
}
