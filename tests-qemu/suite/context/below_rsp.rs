//! Nothing is written below rsp: a pattern there survives every form of the switch, on both sides.

use core::arch::asm;

use kfiber::{
    context::{self, ControlBlock, Payload, switch_out_of_line},
    stack::{Stack, StackMemory, Storage},
};
use tests_qemu::kernel_test;

use crate::checked::{own, parent};

static STACK: Stack<{ 16 * 1024 }> = Stack::new();
static OTHER: Stack<{ 16 * 1024 }> = Stack::new();

const WORDS: usize = 64;
const PATTERN: u64 = 0x7e57_7e57_7e57_7e57;
/// The return address and four registers, which the out-of-line form pushes.
const PUSHED: usize = 40;

/// Fills the words below the running function's rsp.
macro_rules! fill_below_rsp {
    () => {
        // SAFETY: Interrupts are off, so that nothing uses the memory below rsp; it is part of the stack.
        unsafe {
            asm!(
                "lea rdi, [rsp - {bytes}]", "rep stosq", bytes = const WORDS * 8,
                inout("rcx") WORDS => _, in("rax") PATTERN, out("rdi") _, options(nostack),
            );
        }
    };
}

/// Counts the words that [`fill_below_rsp`] filled and that have changed, apart from the first `$skipped` bytes.
macro_rules! changed_below_rsp {
    ($skipped:expr) => {{
        let changed: u64;
        // SAFETY: It reads the memory below rsp, which is part of the stack.
        unsafe {
            asm!(
                "xor {changed}, {changed}",
                "2: mov {word}, [rsp + {at}]", "cmp {word}, {pattern}", "setne {word:l}", "movzx {word:e}, {word:l}",
                "add {changed}, {word}", "add {at}, 8", "cmp {at}, {end}", "jl 2b",
                changed = out(reg) changed, word = out(reg_abcd) _, pattern = in(reg) PATTERN,
                at = inout(reg) -((WORDS * 8) as i64) => _, end = const -($skipped as i64), options(nostack),
            );
        }
        changed
    }};
}

#[inline(never)]
unsafe fn resume_inline(block: *mut ControlBlock) -> u64 {
    let payload = Payload::new(0); // here, since in some builds it is a call, which would use the stack below rsp
    fill_below_rsp!();
    // SAFETY: The caller's promise.
    unsafe { context::resume(block, payload) };
    changed_below_rsp!(0)
}

#[inline(never)]
unsafe fn suspend_inline(block: *mut ControlBlock) -> u64 {
    let payload = Payload::new(0); // here, since in some builds it is a call, which would use the stack below rsp
    fill_below_rsp!();
    // SAFETY: The caller's promise.
    unsafe { context::suspend(block, payload) };
    changed_below_rsp!(0)
}

#[inline(never)]
unsafe fn switch_inline(prev: *mut ControlBlock, next: *mut ControlBlock) -> u64 {
    let payload = Payload::new(0); // here, since in some builds it is a call, which would use the stack below rsp
    fill_below_rsp!();
    // SAFETY: The caller's promise.
    unsafe { context::switch(prev, next, payload) };
    changed_below_rsp!(0)
}

#[inline(never)]
unsafe fn resume_out_of_line(block: *mut ControlBlock) -> u64 {
    let (prev, next) = (parent(block), own(block));
    fill_below_rsp!();
    // SAFETY: The caller's promise.
    unsafe {
        asm!(
            "call {switch}", switch = sym switch_out_of_line,
            in("rdi") 0, in("rsi") block, in("rdx") prev, in("rcx") next, clobber_abi("sysv64"),
        );
    };
    changed_below_rsp!(PUSHED)
}

unsafe extern "sysv64" fn suspends_for_ever(_: Payload, block: *mut ControlBlock) -> Payload {
    loop {
        // SAFETY: Runs on the fiber of this block.
        let changed = unsafe { suspend_inline(block) };
        assert_eq!(changed, 0);
    }
}

const unsafe extern "sysv64" fn ends_at_once(payload: Payload, _: *mut ControlBlock) -> Payload {
    payload
}

unsafe extern "sysv64" fn switches_back_for_ever(
    payload: Payload,
    block: *mut ControlBlock,
) -> Payload {
    // SAFETY: The test sends the address of its block.
    let test = core::ptr::with_exposed_provenance_mut(unsafe { payload.assume_init() });
    loop {
        // SAFETY: The test waits in its block.
        let changed = unsafe { switch_inline(block, test) };
        assert_eq!(changed, 0);
    }
}

kernel_test! {
    fn inline_resume_and_suspend_write_nothing_below_rsp() {
        let stack = STACK.take().expect("first use");
        let mut block = ControlBlock::new();
        let block = &raw mut block;
        // SAFETY: The stack is ours, its top is aligned, and the body does not unwind.
        unsafe { ControlBlock::init(block, stack.bounds().top(), suspends_for_ever) };
        for _ in 0..10 {
            // SAFETY: The fiber is fresh or suspended.
            assert_eq!(unsafe { resume_inline(block) }, 0);
            // SAFETY: As above.
            assert_eq!(unsafe { resume_out_of_line(block) }, 0);
        }
    }

    fn the_end_of_a_fiber_writes_nothing_below_the_resumers_rsp() {
        let stack = STACK.take().expect("first use");
        let mut block = ControlBlock::new();
        let block = &raw mut block;
        for _ in 0..10 {
            // SAFETY: The stack is ours, its top is aligned, and the body does not unwind.
            unsafe { ControlBlock::init(block, stack.bounds().top(), ends_at_once) };
            // SAFETY: The fiber is fresh.
            assert_eq!(unsafe { resume_inline(block) }, 0);
        }
    }

    fn the_inline_switch_writes_nothing_below_rsp() {
        let stack = OTHER.take().expect("first use");
        let (mut test, mut fiber) = (ControlBlock::new(), ControlBlock::new());
        let (test, fiber) = (&raw mut test, &raw mut fiber);
        // SAFETY: The stack is ours, its top is aligned, and the body does not unwind.
        unsafe { ControlBlock::init(fiber, stack.bounds().top(), switches_back_for_ever) };
        // SAFETY: The fiber is fresh.
        unsafe { context::switch(test, fiber, Payload::new(test.expose_provenance())) };
        for _ in 0..10 {
            // SAFETY: The fiber is suspended.
            assert_eq!(unsafe { switch_inline(test, fiber) }, 0);
        }
    }

    /// The count sees every word of the pattern.
    fn a_word_below_rsp_that_is_changed_is_noticed() {
        for offset in (8..=WORDS * 8).step_by(8) {
            fill_below_rsp!();
            // SAFETY: Interrupts are off, and the word is part of the stack.
            unsafe { asm!("neg {0}", "mov byte ptr [rsp + {0}], 1", inout(reg) offset => _, options(nostack)) };
            let changed = changed_below_rsp!(0);
            assert_eq!(changed, 1, "at rsp - {offset}");
        }
    }
}
