//! What QEMU emulates only with the processor's help: TSC deadlines and x2APIC mode on several cores. These tests are run
//! by hand, on a machine whose KVM works: `cargo xtask qemu-test --accel kvm --ignored apic_cores::with_kvm`.

use kfiber::hardware::ApicTimerMode;
use tests_qemu::{apic, kernel_test};

use super::{SCHEDULER, all_cores_sleep, cores_wake_each_other};

kernel_test! {
    fn cores_in_x2apic_mode_sleep_by_tsc_deadlines() cores(4) machine("-cpu qemu64,+x2apic,+tsc-deadline") ignored timeout(120) {
        all_cores_sleep();
        assert!(apic::is_x2apic());
        assert_eq!(SCHEDULER.platform().timer_mode(), Some(ApicTimerMode::TscDeadline));
    }

    fn cores_in_x2apic_mode_sleep_by_counting() cores(4) machine("-cpu qemu64,+x2apic,-tsc-deadline") ignored timeout(120) {
        all_cores_sleep();
        assert!(apic::is_x2apic());
        assert_eq!(SCHEDULER.platform().timer_mode(), Some(ApicTimerMode::OneShot));
    }

    fn cores_in_xapic_mode_sleep_by_tsc_deadlines() cores(4) machine("-cpu qemu64,-x2apic,+tsc-deadline") ignored timeout(120) {
        all_cores_sleep();
        assert!(!apic::is_x2apic());
        assert_eq!(SCHEDULER.platform().timer_mode(), Some(ApicTimerMode::TscDeadline));
    }

    fn cores_in_x2apic_mode_end_each_others_sleep() cores(2) machine("-cpu qemu64,+x2apic") ignored timeout(120) {
        cores_wake_each_other();
        assert!(apic::is_x2apic());
    }
}
