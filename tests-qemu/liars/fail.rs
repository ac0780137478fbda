//! Those whose final line and exit status are not both those of a pass.

use tests_qemu::{
    exit, kernel_test, println,
    protocol::{FAIL, PREFIX},
    serial,
};

use crate::print_pass;

kernel_test! {
    fn returns_instead_of_panicking() panics("never said") {}

    fn returns_instead_of_faulting() faults("#UD") {}

    fn runs_nothing_and_exits_with_success() {
        exit::pass();
    }

    /// Only for the list: `main` does what the name says.
    fn is_silent_and_exits_with_success() {
        unreachable!("main handles it");
    }

    fn loses_a_line() {
        println!("this one arrives");
        print_pass("fail::loses_a_line", serial::lines() + 1);
        exit::pass();
    }

    fn invents_a_line() {
        println!("this one arrives");
        print_pass("fail::invents_a_line", serial::lines() - 1);
        exit::pass();
    }

    fn passes_with_the_status_of_failure() {
        print_pass("fail::passes_with_the_status_of_failure", serial::lines());
        exit::fail();
    }

    fn says_nothing_and_exits_with_failure() {
        exit::fail();
    }

    fn passes_in_the_name_of_another() {
        print_pass("fail::another", serial::lines());
        exit::pass();
    }

    fn fails_and_then_passes() {
        println!("{PREFIX}{FAIL} it did not work");
        print_pass("fail::fails_and_then_passes", serial::lines());
        exit::pass();
    }

    fn goes_on_after_passing() {
        print_pass("fail::goes_on_after_passing", serial::lines());
        println!("and another thing");
        exit::pass();
    }
}
