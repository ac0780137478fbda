//! The interrupt controllers: what is sent arrives, what is masked does not, and the controller is ready for the next.

use core::sync::atomic::{AtomicU64, Ordering};

use kfiber::hardware::{Destination, Ipi, pic};
use tests_qemu::{
    exceptions::{self, TIMER_VECTOR},
    kernel_test,
};
use x86_64::instructions::interrupts;

use super::{BY_PIT, local_apic, start_pit_ticking};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// Lets pending interrupts in.
fn let_in() {
    interrupts::enable();
    x86_64::instructions::nop();
    interrupts::disable();
}

fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// Waits for the next ticks of the PIT, which is so fast that this is over soon, or finds that there are none.
fn ticks_come() -> bool {
    let before = count();
    let start = BY_PIT.platform().timer().clock().now();
    interrupts::enable();
    while count() < before + 3 && BY_PIT.platform().timer().clock().now() < start + 20_000_000 {
        core::hint::spin_loop();
    }
    interrupts::disable();
    count() > before
}

kernel_test! {
    fn an_interrupt_to_this_core_arrives_by_either_name() {
        const VECTOR: u8 = 40;
        exceptions::hook(VECTOR, |_| {
            COUNT.fetch_add(1, Ordering::Relaxed);
            local_apic().expect("every machine has it").end_of_interrupt();
        });
        let apic = local_apic().expect("every machine has it");
        for (sent, to) in (1..).zip([Destination::This, Destination::Core(apic.id()), Destination::This]) {
            // SAFETY: the handler is above.
            unsafe { apic.send_ipi(to, Ipi::Vector(VECTOR)) }.expect("it is not busy");
            let_in();
            assert_eq!(count(), sent, "{to:?}");
        }
    }

    fn an_interrupt_to_all_others_does_not_come_here() {
        const VECTOR: u8 = 40;
        exceptions::hook(VECTOR, |_| panic!("it came"));
        let apic = local_apic().expect("every machine has it");
        // SAFETY: no other core runs.
        unsafe { apic.send_ipi(Destination::Others, Ipi::Vector(VECTOR)) }.expect("it is not busy");
        let_in();
    }

    fn a_masked_line_is_silent_and_an_unmasked_one_comes_again_and_again() icount {
        start_pit_ticking(10_000).expect("every machine has it");
        exceptions::hook(TIMER_VECTOR, |_| {
            COUNT.fetch_add(1, Ordering::Relaxed);
            BY_PIT.platform().timer().end_of_interrupt();
        });
        assert!(!pic::is_masked(0) && ticks_come());
        pic::mask(0);
        let_in(); // one may be pending
        assert!(pic::is_masked(0) && !ticks_come());
        // SAFETY: the handler is above.
        unsafe { pic::unmask(0) };
        assert!(ticks_come());
        pic::mask_all();
        let_in();
        assert!(!ticks_come());
    }

    fn lines_of_the_second_controller_unmask_their_way_through_the_first() {
        pic::remap(TIMER_VECTOR).expect("32 is allowed");
        assert!((0..16).all(pic::is_masked));
        // SAFETY: the device does not interrupt.
        unsafe { pic::unmask(12) };
        assert!((0..16).all(|line| pic::is_masked(line) != [2, 12].contains(&line)));
    }

    fn an_interrupt_that_is_not_in_service_is_spurious() {
        pic::remap(TIMER_VECTOR).expect("32 is allowed");
        assert!(!pic::end_of_interrupt(7));
        assert!(!pic::end_of_interrupt(15));
    }

    fn there_is_no_line_16() panics("its lines are 0 to 15") {
        pic::mask(16);
    }
}
