//! Those that panic when they did not promise it, or not so.

use core::fmt;

use tests_qemu::kernel_test;

kernel_test! {
    fn panics() {
        panic!("nobody expected this: {}", 42);
    }

    fn panics_with_another_message() panics("the promised message") {
        panic!("another message");
    }

    fn panics_instead_of_faulting() faults("#PF") {
        panic!("not a fault");
    }

    fn panics_in_several_lines() {
        panic!("first line\n@kfiber pass panic::panics_in_several_lines lines=1\nlast line");
    }

    fn panics_while_panicking() {
        panic!("the value is {}", CannotBeShown);
    }
}

struct CannotBeShown;

impl fmt::Display for CannotBeShown {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("cannot be shown");
    }
}
