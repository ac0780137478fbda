//! Machines without the device, devices that stand still, and kernels that say something wrong: each is an error, not a
//! hang.

use core::cell::UnsafeCell;

use kfiber::{
    hardware::{
        ApicTimerMode, Destination, HardwareError, Hpet, Ipi, LocalApic, LocalApicTimer, PitTimer,
        Reference, TscClock, pic,
    },
    platform::Timer as _,
    x86_64::VirtAddr,
};
use tests_qemu::{
    exceptions::{SPURIOUS_VECTOR, TIMER_VECTOR},
    kernel_test, println,
};

use super::{APIC_AT, HPET_AT, local_apic, start_apic_timer, start_pit_one_shot};

/// Memory that plays the registers of a device that never does anything.
#[repr(C, align(4096))]
struct Dead(UnsafeCell<[u64; 512]>);

// SAFETY: it is used by one core, through volatile accesses.
unsafe impl Sync for Dead {}

static DEAD: Dead = Dead(UnsafeCell::new([0; 512]));

/// Returns the address of the dead device, with one of its registers set.
fn dead(register: usize, value: u64) -> VirtAddr {
    let registers = DEAD.0.get().cast::<u64>();
    // SAFETY: a word of the page.
    unsafe { registers.wrapping_byte_add(register).write_volatile(value) };
    VirtAddr::from_ptr(registers)
}

/// A local APIC that stands still. Its version is that of a processor's.
fn dead_apic() -> LocalApic {
    let page = dead(0x30, 0x14);
    // SAFETY: it is memory, which does nothing.
    unsafe { LocalApic::xapic(page, SPURIOUS_VECTOR) }.expect("it looks like one")
}

fn hpet_at(address: VirtAddr) -> Result<Hpet, HardwareError> {
    // SAFETY: mapped, and nothing else uses it.
    unsafe { Hpet::at(address) }
}

fn measure_with(reference: Reference<'_>) -> Result<u64, HardwareError> {
    // SAFETY: nobody else uses the PIT.
    unsafe { TscClock::measure_hz(reference) }
}

/// Checks the error, and shows it.
#[track_caller]
fn assert_refused<T>(result: Result<T, HardwareError>, expected: HardwareError) {
    match result {
        Err(error) => {
            println!("{error}");
            assert_eq!(error, expected);
        }
        Ok(_) => panic!("it worked, but was to fail: {expected}"),
    }
}

kernel_test! {
    fn a_machine_without_a_pit_is_told_to_use_another_reference() icount machine("-machine microvm,pit=off") {
        assert_refused(measure_with(Reference::Pit), HardwareError::PitDoesNotTick);
        assert_refused(start_pit_one_shot(), HardwareError::PitDoesNotTick);
        assert_refused(start_apic_timer(), HardwareError::PitDoesNotTick);
        assert_refused(start_apic_timer(), HardwareError::PitDoesNotTick);
    }

    fn a_machine_without_an_hpet_is_told_so() machine("-machine hpet=off") {
        let address = usize::try_from(HPET_AT.as_u64()).expect("64 bits");
        assert_refused(hpet_at(HPET_AT), HardwareError::NoHpetAt { address });
        measure_with(Reference::Pit).expect("the PIT is there");
    }

    fn an_hpet_that_does_not_count_is_called_dead() icount {
        let page = dead(0, 10_000_000 << 32);
        let hpet = hpet_at(page).expect("it looks like one");
        let address = usize::try_from(page.as_u64()).expect("64 bits");
        assert_refused(measure_with(Reference::Hpet(&hpet)), HardwareError::NoHpetAt { address });
    }

    fn a_processor_without_a_local_apic_is_told_to_use_the_pit() machine("-cpu qemu64,-apic") {
        assert_refused(local_apic(), HardwareError::NoLocalApic);
        // SAFETY: it does nothing, for the processor has no such mode.
        assert_refused(unsafe { LocalApic::x2apic(SPURIOUS_VECTOR) }, HardwareError::NoLocalApic);
    }

    fn a_processor_without_x2apic_mode_is_told_to_use_the_other() {
        // SAFETY: as above.
        assert_refused(unsafe { LocalApic::x2apic(SPURIOUS_VECTOR) }, HardwareError::NoX2Apic);
        local_apic().expect("the other works");
    }

    fn a_local_apic_that_is_not_mapped_is_an_error_and_not_a_page_fault() {
        tests_qemu::paging::unmap(APIC_AT.as_u64());
        let address = usize::try_from(APIC_AT.as_u64()).expect("64 bits");
        assert_refused(local_apic(), HardwareError::LocalApicNotMapped { address });
    }

    fn a_local_apic_is_not_found_where_it_is_not() {
        // A page of zeros, and the HPET, which reads as other things.
        for address in [dead(0x30, 0), HPET_AT] {
            // SAFETY: a page that is mapped, and to which nothing is written unless it is a local APIC.
            let result = unsafe { LocalApic::xapic(address, SPURIOUS_VECTOR) };
            let address = usize::try_from(address.as_u64()).expect("64 bits");
            assert_refused(result, HardwareError::NoLocalApicAt { address });
        }
    }

    fn a_local_apic_whose_timer_does_not_count_is_called_dead() icount {
        static TIMER: LocalApicTimer = LocalApicTimer::new();
        // SAFETY: it never interrupts.
        let result = unsafe { TIMER.start(dead_apic(), TIMER_VECTOR) };
        assert_refused(result, HardwareError::ApicTimerDoesNotTick);
    }

    fn a_local_apic_that_cannot_send_is_not_waited_for_for_ever() {
        let apic = dead_apic();
        dead(0x300, 1 << 12);
        // SAFETY: it sends nothing.
        let result = unsafe { apic.send_ipi(Destination::Others, Ipi::Vector(TIMER_VECTOR)) };
        assert_refused(result, HardwareError::IpiIsStuck);
    }

    fn a_core_with_a_large_number_is_out_of_reach_without_x2apic_mode() {
        let apic = local_apic().expect("every machine has it");
        // SAFETY: nothing is sent.
        let result = unsafe { apic.send_ipi(Destination::Core(255), Ipi::Nmi) };
        assert_refused(result, HardwareError::OutOfReach { apic_id: 255 });
    }

    /// QEMU without KVM has no such mode.
    fn a_processor_without_tsc_deadlines_gets_one_shots() icount {
        static TIMER: LocalApicTimer = LocalApicTimer::new();
        let apic = local_apic().expect("every machine has it");
        // SAFETY: it never interrupts.
        let result = unsafe { TIMER.start_with(apic, TIMER_VECTOR, ApicTimerMode::TscDeadline, 1_000_000_000) };
        assert_refused(result, HardwareError::NoTscDeadline);
        assert_eq!(TIMER.mode(), None);
        let one_shot = |hz| {
            // SAFETY: as above.
            unsafe { TIMER.start_with(apic, TIMER_VECTOR, ApicTimerMode::OneShot, hz) }
        };
        assert_refused(one_shot(5), HardwareError::ImpossibleFrequency { hz: 5 });
        // Whatever failed can be tried again, until it works.
        assert_eq!(one_shot(1_000_000_000), Ok(()));
        assert_eq!(TIMER.mode(), Some(ApicTimerMode::OneShot));
        assert_refused(one_shot(1_000_000_000), HardwareError::AlreadyStarted);
    }

    fn vectors_of_exceptions_are_refused() {
        for vector in [0, 8, 31, 36, 241, 248] {
            assert_refused(pic::remap(vector), HardwareError::ReservedVector { vector });
        }
        // SAFETY: nothing is done.
        assert_refused(unsafe { LocalApic::xapic(APIC_AT, 15) }, HardwareError::ReservedVector { vector: 15 });
    }

    fn a_clock_starts_once_and_with_a_possible_frequency() {
        static CLOCK: TscClock = TscClock::new();
        for hz in [0, 999_999, 100_000_000_001] {
            assert_refused(CLOCK.start_with(hz), HardwareError::ImpossibleFrequency { hz });
        }
        assert_eq!(CLOCK.start_with(1_000_000_000), Ok(()));
        assert_refused(CLOCK.start_with(1_000_000_000), HardwareError::AlreadyStarted);
        let first = CLOCK.now();
        assert!(CLOCK.now() >= first);
    }

    fn a_clock_that_was_not_started_names_the_function() panics("the clock was not started: call a function of the timer") {
        static TIMER: PitTimer = PitTimer::new();
        let _never = TIMER.now();
    }

    fn a_timer_that_was_not_started_names_the_function() panics("call `LocalApicTimer::start` at boot") {
        static TIMER: LocalApicTimer = LocalApicTimer::new();
        TIMER.interrupt_at(5);
    }
}
