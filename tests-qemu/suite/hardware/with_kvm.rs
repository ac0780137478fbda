//! What QEMU emulates only with the processor's help: TSC deadlines and x2APIC mode. These tests are run by hand, on a
//! machine whose KVM works: `cargo xtask qemu-test --accel kvm --ignored hardware::with_kvm`.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use kfiber::hardware::{ApicTimerMode, Destination, HardwareError, Ipi, LocalApic};
use tests_qemu::{
    exceptions::{self, SPURIOUS_VECTOR, TIMER_VECTOR},
    kernel_test,
};
use x86_64::instructions::interrupts;
use x86_64::registers::model_specific::{ApicBase, ApicBaseFlags};

use super::drift::{MOST_DRIFT_WHEN_BUSY_PPM, sleep_for};
use super::{BY_APIC, local_apic, start_apic_timer};

fn x2apic() -> LocalApic {
    // SAFETY: the harness has a handler for the vector, and uses no register of the APIC in these tests.
    unsafe { LocalApic::x2apic(SPURIOUS_VECTOR) }.expect("the machine has it")
}

/// Undoes what the harness did at boot, on the only way that there is: by turning the APIC off (Intel SDM, volume 3,
/// 11.12.5).
fn leave_x2apic_mode() {
    let (frame, flags) = ApicBase::read();
    let off = flags - ApicBaseFlags::LAPIC_ENABLE - ApicBaseFlags::X2APIC_ENABLE;
    for flags in [off, off | ApicBaseFlags::LAPIC_ENABLE] {
        // SAFETY: interrupts are off, and the harness asks for the mode at each access.
        unsafe { ApicBase::write(frame, flags) };
    }
}

kernel_test! {
    fn a_local_apic_that_is_not_mapped_is_switched_to_x2apic_mode() machine("-cpu qemu64,+x2apic") ignored timeout(120) {
        leave_x2apic_mode();
        assert!(local_apic().is_ok_and(|apic| !apic.is_x2apic()));
        tests_qemu::paging::unmap(super::APIC_AT.as_u64());
        assert!(local_apic().is_ok_and(|apic| apic.is_x2apic() && apic.id() == 0));
    }

    fn tsc_deadlines_keep_time() machine("-cpu qemu64,+x2apic,+tsc-deadline") ignored timeout(120) {
        start_apic_timer().expect("every machine has it");
        assert_eq!(BY_APIC.platform().timer().mode(), Some(ApicTimerMode::TscDeadline));
        assert!(sleep_for(&BY_APIC, Duration::from_secs(2)).0 <= MOST_DRIFT_WHEN_BUSY_PPM);
    }

    fn one_shots_of_the_same_processor_keep_time() machine("-cpu qemu64,+x2apic,-tsc-deadline") ignored timeout(120) {
        start_apic_timer().expect("every machine has it");
        assert_eq!(BY_APIC.platform().timer().mode(), Some(ApicTimerMode::OneShot));
        assert!(sleep_for(&BY_APIC, Duration::from_secs(2)).0 <= MOST_DRIFT_WHEN_BUSY_PPM);
    }

    fn a_timer_in_x2apic_mode_keeps_time() machine("-cpu qemu64,+x2apic,-tsc-deadline") ignored timeout(120) {
        exceptions::hook(TIMER_VECTOR, |_| {
            BY_APIC.timer_interrupt();
            BY_APIC.platform().timer().end_of_interrupt();
        });
        let (timer, apic) = (BY_APIC.platform().timer(), x2apic());
        // SAFETY: the handler is above, and nobody else uses the timer or the PIT.
        unsafe { timer.start(apic, TIMER_VECTOR) }.expect("it is there");
        assert!(sleep_for(&BY_APIC, Duration::from_secs(2)).0 <= MOST_DRIFT_WHEN_BUSY_PPM);
        // SAFETY: it is refused.
        let in_memory = unsafe { LocalApic::xapic(super::APIC_AT, SPURIOUS_VECTOR) };
        assert_eq!(in_memory, Err(HardwareError::IsInX2ApicMode));
        assert_eq!(local_apic(), Ok(apic));
    }

    fn an_interrupt_to_this_core_arrives_in_x2apic_mode() machine("-cpu qemu64,+x2apic") ignored timeout(120) {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        const VECTOR: u8 = 40;
        exceptions::hook(VECTOR, |_| {
            COUNT.fetch_add(1, Ordering::Relaxed);
            x2apic().end_of_interrupt();
        });
        let apic = x2apic();
        assert_eq!(apic.id(), 0);
        for (sent, to) in (1..).zip([Destination::This, Destination::Core(apic.id()), Destination::This]) {
            // SAFETY: the handler is above.
            unsafe { apic.send_ipi(to, Ipi::Vector(VECTOR)) }.expect("it is not busy");
            interrupts::enable();
            // KVM does not always deliver it at the next instruction.
            for _ in 0..1_000_000 {
                if COUNT.load(Ordering::Relaxed) == sent {
                    break;
                }
                core::hint::spin_loop();
            }
            interrupts::disable();
            assert_eq!(COUNT.load(Ordering::Relaxed), sent, "{to:?}");
        }
    }
}
