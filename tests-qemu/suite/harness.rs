//! What every other test relies on: the machine is set up as promised and the harness can tell success from failure.

use tests_qemu::{kernel_test, println};

kernel_test! {
    /// The shortest test.
    fn a_test_that_returns_passes() {
        println!("hello");
    }

    /// A panic with the promised message is a pass.
    fn a_promised_panic_passes() panics("on purpose: 42") {
        panic!("panicked on purpose: {}, as promised", 42);
    }
}
