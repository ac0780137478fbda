//! Cores that are numbered or set up wrongly: each is an error that says what to do.

use kfiber::hardware::{ApicCores, ApicVectors, HardwareError};
use tests_qemu::{cores, kernel_test, println};

use super::{SCHEDULER, VECTORS, hook, local_apic, start_first, start_this};
use crate::machine::start_cores;

/// Checks the error, and shows it.
#[track_caller]
fn assert_refused(result: Result<(), HardwareError>, expected: HardwareError) {
    let error = result.expect_err("it is refused");
    println!("{error}");
    assert_eq!(error, expected);
}

kernel_test! {
    fn vectors_that_cannot_be_are_refused() cores(2) {
        start_cores();
        hook();
        let start = |vectors| {
            // SAFETY: nothing is started.
            unsafe { SCHEDULER.platform().start(local_apic(), vectors) }
        };
        let ApicVectors { timer, kick } = VECTORS;
        assert_refused(start(ApicVectors { timer, kick: timer }), HardwareError::VectorsAreEqual { vector: timer });
        assert_refused(start(ApicVectors { timer, kick: 3 }), HardwareError::ReservedVector { vector: 3 });
        assert_refused(start(ApicVectors { timer: 3, kick }), HardwareError::ReservedVector { vector: 3 });
        assert_eq!(SCHEDULER.platform().timer_mode(), None);
        // What failed can be tried again.
        start_first().expect("the machine has a PIT");
        let apic_id = cores::apic_id(0);
        assert_refused(start_first(), HardwareError::AlreadyStarted);
        assert_refused(start_this(), HardwareError::CoreAlreadyStarted { core: 0, apic_id });
    }

    fn a_core_beyond_those_of_the_platform_is_refused() cores(4) {
        static FEW: ApicCores<2> = super::platform();
        start_cores();
        hook();
        // SAFETY: no timer interrupts here.
        unsafe { FEW.start(local_apic(), VECTORS) }.expect("the machine has a PIT");
        cores::on_all(|core| {
            // SAFETY: as above.
            let start = || unsafe { FEW.start_on_this_core(local_apic()) };
            match core {
                0 => (),
                1 => start().expect("there is room for it"),
                _ => assert_eq!(start(), Err(HardwareError::TooManyCores { core, cores: 2 })),
            }
        });
        println!("{}", HardwareError::TooManyCores { core: 2, cores: 2 });
    }

    fn a_core_before_the_first_one_says_so() cores(2) panics("`ApicCores::start` on the first core") {
        start_cores();
        cores::on_all(|core| {
            if core == 1 {
                start_this().expect("it panics");
            }
        });
    }
}
