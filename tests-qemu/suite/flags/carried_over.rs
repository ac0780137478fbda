//! Without debug assertions nothing is checked: a flag that a fiber changes is carried over to whoever runs next.

use core::arch::asm;

use tests_qemu::kernel_test;
use x86_64::{
    instructions::interrupts,
    registers::rflags::{self, RFlags},
};

use super::{
    clear_alignment_check, clear_direction_flag, fiber_that, seen_by, set_alignment_check,
    set_direction_flag, set_nested_task,
};

kernel_test! {
    fn the_direction_flag_is_carried_over() {
        let mut fiber = fiber_that(set_direction_flag);
        seen_by(&mut fiber);
        let flags = rflags::read();
        clear_direction_flag();
        assert!(flags.contains(RFlags::DIRECTION_FLAG));
    }

    fn the_nested_task_flag_is_carried_over() {
        let mut fiber = fiber_that(set_nested_task);
        seen_by(&mut fiber);
        let flags = rflags::read();
        // SAFETY: It clears the flag, and others that nobody relies on.
        unsafe { asm!("push 2", "popfq") };
        assert!(flags.contains(RFlags::NESTED_TASK));
    }

    fn the_interrupt_flag_is_carried_over_both_ways() {
        let mut fiber = fiber_that(|| {
            if interrupts::are_enabled() {
                interrupts::disable();
            } else {
                interrupts::enable();
            }
        });
        for was_on in [false, true, false] {
            assert_eq!(interrupts::are_enabled(), was_on);
            assert_eq!(seen_by(&mut fiber).contains(RFlags::INTERRUPT_FLAG), was_on);
            assert_eq!(interrupts::are_enabled(), !was_on);
        }
    }

    fn the_alignment_check_flag_is_carried_over_both_ways() {
        let mut setting = fiber_that(set_alignment_check);
        seen_by(&mut setting);
        assert!(rflags::read().contains(RFlags::ALIGNMENT_CHECK));
        clear_alignment_check();
        assert!(!seen_by(&mut setting).contains(RFlags::ALIGNMENT_CHECK), "the fiber too has what the resumer had");
        assert!(rflags::read().contains(RFlags::ALIGNMENT_CHECK));
    }
}
