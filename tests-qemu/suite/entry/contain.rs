//! Exceptions of all kinds, each of which ends the fiber that caused it.

use core::arch::asm;

use kfiber::scheduler::{Failure, Fault, yield_now};
use tests_qemu::kernel_test;
use x86_64::registers::{
    control::{Cr0, Cr0Flags},
    rflags::{self, RFlags},
};

use super::{GUARDED, SCHEDULER, failure_among_others, install::with_handlers, run, unmap_guards};
use crate::failures::kinds::Kind;

/// The exceptions that [`Kind`] does not have, by vector. QEMU's translator raises neither `#SS` nor `#XM`.
const OTHERS: [u8; 6] = [1, 4, 5, 7, 11, 16];

/// Raises one of them.
fn raise(vector: u8) {
    // Unmasks all exceptions of the x87 unit.
    let control = 0x0340_u16;
    match vector {
        // SAFETY: the exceptions are what is wanted; whoever handles them does not come back.
        1 => unsafe { asm!("int 1") },
        // SAFETY: as above.
        4 => unsafe { asm!("int 4") },
        // SAFETY: as above.
        5 => unsafe { asm!("int 5") },
        7 => {
            // SAFETY: nobody here uses the x87 unit.
            unsafe { Cr0::update(|flags| flags.insert(Cr0Flags::TASK_SWITCHED)) };
            // SAFETY: as above.
            unsafe { asm!("fnop") };
        }
        // SAFETY: as above. The gate is not present.
        11 => unsafe { asm!("int 40") },
        16 => {
            // SAFETY: nobody here uses the x87 unit.
            unsafe { Cr0::update(|flags| flags.remove(Cr0Flags::TASK_SWITCHED)) };
            // SAFETY: as above. It divides by zero.
            unsafe {
                asm!("fninit", "fldcw [{}]", "fld1", "fldz", "fdivp st(1), st", "fwait", in(reg) &raw const control);
            };
        }
        _ => unreachable!("it is not one of them"),
    }
}

fn all_are_contained(has_stack: bool) {
    with_handlers(has_stack);
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Panic) {
        kind.check(failure_among_others(move || kind.fail()));
    }
    for raised in OTHERS {
        let failure = failure_among_others(move || raise(raised));
        let Failure::Faulted(Fault {
            vector,
            error_code,
            is_in_user_mode,
            ..
        }) = *failure
        else {
            panic!("{failure}");
        };
        assert_eq!(vector, raised);
        // The bit that stands for the table of interrupts. (The bits above it differ between QEMU and the manuals.)
        assert_eq!(error_code & 0b111, if vector == 11 { 0b010 } else { 0 });
        assert!(!is_in_user_mode);
    }
    assert_eq!(
        SCHEDULER.fibers().count(),
        6 + OTHERS.len(),
        "all that failed are listed"
    );
}

kernel_test! {
    fn every_exception_ends_the_fiber_that_caused_it_on_that_fiber_s_stack() timeout(30) {
        all_are_contained(false);
    }

    fn every_exception_ends_the_fiber_that_caused_it_on_a_stack_of_its_own() timeout(30) {
        all_are_contained(true);
    }

    /// The next fiber continues where a switch left it, with the flags that it left. (One that begins has them cleared.)
    fn the_direction_flag_of_a_fiber_that_fails_is_not_the_next_one_s() {
        with_handlers(true);
        unmap_guards();
        let next_flags = || SCHEDULER.spawn(&super::CELLS, || {
            yield_now();
            rflags::read().contains(RFlags::DIRECTION_FLAG)
        });
        let faults = SCHEDULER.spawn(&super::CELLS, || {
            yield_now();
            // SAFETY: the exception is what is wanted.
            unsafe { asm!("std", "ud2") }
        });
        let after_fault = next_flags();
        let overflows = SCHEDULER.spawn(&GUARDED, || {
            yield_now();
            // SAFETY: as above. It goes down until it is in the guard.
            unsafe { asm!("std", "2: push 0", "jmp 2b", options(noreturn)) }
        });
        let after_overflow = next_flags();
        run();
        faults.expect("a cell is free").try_join().expect_err("it failed");
        overflows.expect("a cell is free").try_join().expect_err("it failed");
        for next in [after_fault, after_overflow] {
            assert!(!next.expect("a cell is free").try_join().expect("it ended"));
        }
    }
}
