//! What every other test relies on: the harness tells success from failure. (That it also notices lies is shown by the
//! kernels in `liars`.)

mod boot;
mod interrupts;
pub(crate) mod traps;

use core::arch::asm;

use tests_qemu::{cpu::Random, kernel_test, print, println, run};

kernel_test! {
    fn a_test_that_returns_passes() {
        println!("hello");
    }

    fn a_promised_panic_passes() panics("on purpose: 42, as") {
        panic!("panicked on purpose: {}, as promised", 42);
    }

    fn a_promised_exception_passes() faults("#UD") {
        // SAFETY: The exception ends the run.
        unsafe { asm!("ud2") };
    }

    fn a_test_can_pass_without_returning() {
        print!("an unfinished line");
        run::pass();
    }

    /// Shows that the runner leaves it out unless asked for it.
    fn an_ignored_test_is_run_only_when_asked_for() ignored {
        println!("somebody asked");
    }

    /// The first numbers for this seed in the reference implementation.
    fn random_numbers_are_those_of_splitmix64() {
        let mut random = Random::new(1_234_567);
        for expected in [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423_u64] {
            assert_eq!(random.next(), expected);
        }
    }
}
