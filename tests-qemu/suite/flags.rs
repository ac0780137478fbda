//! The policy for RFLAGS, row by row of the table in `kfiber::context::flags`. (That the status flags are lost and that
//! single steps go through are subjects of `fuzz.rs` and `walk.rs`, the first entry's of `context/entry.rs`.)

#[cfg(not(debug_assertions))]
mod carried_over;
#[cfg(debug_assertions)]
mod enforced;

use core::arch::asm;

use kfiber::{
    fiber::{Fiber, Resumed},
    stack::{Stack, StackHandle, Storage},
};
use tests_qemu::{cpu, kernel_test};
use x86_64::registers::rflags::{self, RFlags};

static STACK: Stack<{ 32 * 1024 }> = Stack::new();

type DenseStack = StackHandle<Stack<{ 32 * 1024 }>>;

/// A fiber that changes a flag by `change` each time before it suspends itself, and yields the flags that it then sees.
fn fiber_that(change: fn()) -> Fiber<(), RFlags, (), DenseStack> {
    let stack = STACK.take().expect("one at a time");
    Fiber::new(stack, move |yielder, ()| {
        loop {
            let seen = rflags::read();
            change();
            yielder.suspend(seen);
        }
    })
    .expect("a small closure")
}

/// Resumes a fiber that yields.
fn seen_by(fiber: &mut Fiber<(), RFlags, (), DenseStack>) -> RFlags {
    match fiber.resume(()) {
        Resumed::Yielded(flags) => flags,
        Resumed::Returned(()) => panic!("the fiber has no end"),
    }
}

const fn nothing() {}

fn set_direction_flag() {
    // SAFETY: The callers switch at once, and do not use string instructions before.
    unsafe { asm!("std", options(nomem, nostack)) };
}

fn clear_direction_flag() {
    // SAFETY: It restores what the ABI says.
    unsafe { asm!("cld", options(nomem, nostack)) };
}

fn set_nested_task() {
    // SAFETY: No `iret` runs before the flag is cleared, since interrupts are off.
    unsafe { cpu::set_flags(RFlags::NESTED_TASK) };
}

fn set_alignment_check() {
    // SAFETY: In ring 0 the flag means something only with SMAP, which is off.
    unsafe { cpu::set_flags(RFlags::ALIGNMENT_CHECK) };
}

fn clear_alignment_check() {
    // SAFETY: As above.
    unsafe { cpu::clear_flags(RFlags::ALIGNMENT_CHECK) };
}

kernel_test! {
    fn a_fiber_that_keeps_the_flags_may_be_resumed_with_interrupts_off_and_on() {
        let mut fiber = fiber_that(nothing);
        for is_on in [false, true, true, false, true, false] {
            if is_on {
                x86_64::instructions::interrupts::enable();
            } else {
                x86_64::instructions::interrupts::disable();
            }
            assert_eq!(seen_by(&mut fiber).contains(RFlags::INTERRUPT_FLAG), is_on, "as the resumer has it");
            assert_eq!(rflags::read().contains(RFlags::INTERRUPT_FLAG), is_on);
        }
    }

    fn a_fiber_sees_the_alignment_check_flag_as_the_resumer_has_it() {
        let mut fiber = fiber_that(nothing);
        for is_set in [false, true, false, true] {
            if is_set {
                set_alignment_check();
            } else {
                clear_alignment_check();
            }
            assert_eq!(seen_by(&mut fiber).contains(RFlags::ALIGNMENT_CHECK), is_set);
            assert_eq!(rflags::read().contains(RFlags::ALIGNMENT_CHECK), is_set);
        }
    }

    /// What a fiber does with the flags between two switches is its own affair.
    fn flags_that_are_put_back_before_the_switch_are_no_matter() {
        let mut fiber = fiber_that(|| {
            set_direction_flag();
            clear_direction_flag();
            set_alignment_check();
            clear_alignment_check();
            x86_64::instructions::interrupts::enable();
            x86_64::instructions::interrupts::disable();
        });
        for _ in 0..10 {
            let seen = seen_by(&mut fiber);
            let policed = RFlags::DIRECTION_FLAG | RFlags::ALIGNMENT_CHECK | RFlags::INTERRUPT_FLAG | RFlags::NESTED_TASK;
            assert!((seen & policed).is_empty(), "{seen:?}");
        }
    }
}
