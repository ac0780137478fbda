//! Those that never end.

use tests_qemu::{cores, kernel_test, serial};
use x86_64::instructions::{hlt, interrupts};

use crate::print_pass;

kernel_test! {
    fn spins() timeout(2) {
        spin();
    }

    fn halts() timeout(2) {
        interrupts::disable();
        loop {
            hlt();
        }
    }

    /// One core waits for a kick that the other one does not send.
    fn leaves_a_kick_out() cores(2) timeout(10) {
        if let Err(error) = cores::start() {
            panic!("{error}");
        }
        cores::on_all(|core| {
            if core == 1 {
                while cores::kicks(1) == 0 {
                    interrupts::enable_and_hlt();
                }
            }
        });
    }

    /// Only for the list: `main` does what the name says.
    fn is_silent_and_spins() timeout(2) {
        unreachable!("main handles it");
    }

    fn passes_and_spins() timeout(2) {
        print_pass("timeout::passes_and_spins", serial::lines());
        spin();
    }
}

pub(crate) fn spin() -> ! {
    loop {
        core::hint::spin_loop();
    }
}
