//! With debug assertions each broken rule is a panic that names the flag.

use kfiber::fiber::Fiber;
use tests_qemu::kernel_test;
use x86_64::instructions::interrupts;

use super::{
    STACK, clear_alignment_check, fiber_that, nothing, seen_by, set_alignment_check,
    set_direction_flag, set_nested_task,
};
use kfiber::stack::Storage;

kernel_test! {
    fn suspending_with_the_direction_flag_set_panics() panics("direction flag") {
        seen_by(&mut fiber_that(set_direction_flag));
    }

    fn resuming_with_the_direction_flag_set_panics() panics("direction flag") {
        let mut fiber = fiber_that(nothing);
        set_direction_flag();
        seen_by(&mut fiber);
    }

    fn returning_with_the_direction_flag_set_panics() panics("direction flag") {
        let stack = STACK.take().expect("one at a time");
        let mut fiber = Fiber::<(), (), (), _>::new(stack, |_, ()| set_direction_flag()).expect("a small closure");
        let _ = fiber.resume(());
    }

    fn suspending_with_the_nested_task_flag_set_panics() panics("nested-task flag") {
        seen_by(&mut fiber_that(set_nested_task));
    }

    fn resuming_with_the_nested_task_flag_set_panics() panics("nested-task flag") {
        let mut fiber = fiber_that(nothing);
        set_nested_task();
        seen_by(&mut fiber);
    }

    fn coming_back_with_interrupts_off_panics_if_they_were_on() panics("came back with interrupts off") {
        interrupts::enable();
        seen_by(&mut fiber_that(interrupts::disable));
    }

    fn coming_back_with_interrupts_on_panics_if_they_were_off() panics("came back with interrupts on") {
        seen_by(&mut fiber_that(interrupts::enable));
    }

    fn returning_with_interrupts_changed_panics() panics("came back with interrupts on") {
        let stack = STACK.take().expect("one at a time");
        let mut fiber = Fiber::<(), (), (), _>::new(stack, |_, ()| interrupts::enable()).expect("a small closure");
        let _ = fiber.resume(());
    }

    fn coming_back_with_the_alignment_check_flag_set_panics() panics("alignment-check flag changed") {
        seen_by(&mut fiber_that(set_alignment_check));
    }

    fn coming_back_with_the_alignment_check_flag_cleared_panics() panics("alignment-check flag changed") {
        set_alignment_check();
        seen_by(&mut fiber_that(clear_alignment_check));
    }
}
