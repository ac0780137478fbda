//! All cores come up, each on a stack of its own, and each handles its own exceptions.

use core::{
    arch::asm,
    hint::black_box,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use tests_qemu::{apic, boot, cores, exceptions, kernel_test, println};
use x86_64::registers::{
    control::{Cr0, Cr3, Cr4, Efer},
    rflags::{self, RFlags},
};

use super::start_cores;

static RAN: [AtomicUsize; cores::MOST] = [const { AtomicUsize::new(0) }; cores::MOST];
static STATE: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

kernel_test! {
    fn two_cores_run_what_they_are_given() cores(2) {
        run_on_all();
    }

    fn four_cores_run_what_they_are_given() cores(4) {
        run_on_all();
    }

    fn eight_cores_run_what_they_are_given() cores(8) timeout(60) {
        run_on_all();
    }

    /// Each round returns only when all cores are done, and none runs a round twice.
    fn a_thousand_rounds_of_work_end() cores(4) timeout(60) {
        let count = start_cores();
        for round in 1..=1_000 {
            cores::on_all(|core| {
                RAN[core].fetch_add(1, Ordering::Relaxed);
            });
            assert!(RAN[..count].iter().all(|ran| ran.load(Ordering::Relaxed) == round));
        }
    }

    fn each_core_is_in_the_state_of_the_first() cores(4) {
        start_cores();
        for (word, value) in STATE.iter().zip(state()) {
            word.store(value, Ordering::Relaxed);
        }
        cores::on_all(|core| {
            let expected = STATE.each_ref().map(|word| word.load(Ordering::Relaxed));
            assert_eq!(state(), expected, "CR0, CR3, CR4 and EFER of core {core}");
            let bad = RFlags::INTERRUPT_FLAG | RFlags::DIRECTION_FLAG | RFlags::TRAP_FLAG;
            assert!(!rflags::read().intersects(bad), "core {core}: {:?}", rflags::read());
        });
    }

    fn each_core_has_its_own_number_apic_and_stack() cores(4) {
        start_cores();
        println!("in x2APIC mode: {}", apic::is_x2apic());
        cores::on_all(|core| {
            assert_eq!(cores::this(), core);
            assert_eq!(apic::id(), cores::apic_id(core));
            let local = 0_u8;
            let address = (&raw const local).addr();
            if core == 0 {
                let (bottom, top) = boot::stack();
                assert!((bottom..top).contains(&(address as u64)));
            } else {
                assert!(cores::is_boot_stack_of(core, address));
            }
        });
        let ids: [u32; 4] = core::array::from_fn(cores::apic_id);
        for (index, id) in ids.iter().enumerate() {
            assert!(!ids[..index].contains(id), "two cores have APIC {id}");
        }
    }

    /// All of them at the same time, so that each needs its own stack for it.
    fn each_core_handles_its_own_exceptions() cores(4) {
        start_cores();
        exceptions::hook(6, |frame| {
            RAN[cores::this()].fetch_add(1, Ordering::Relaxed);
            frame.rip += 2;
        });
        cores::on_all(|core| {
            for round in 1..=1_000 {
                // SAFETY: The hook goes on behind the instruction, which has two bytes, and changes nothing else.
                unsafe { asm!("ud2") };
                assert_eq!(RAN[core].load(Ordering::Relaxed), round);
            }
        });
    }

    fn a_panic_of_another_core_ends_the_run() cores(2) panics("on the other core") {
        start_cores();
        cores::on_all(|core| assert!(core == 0, "on the other core"));
    }

    fn an_overflow_of_another_cores_stack_faults() cores(2) faults("#PF") {
        start_cores();
        cores::on_all(|core| {
            if core == 1 {
                recurse(black_box(u64::MAX));
            }
        });
    }
}

fn run_on_all() {
    let count = start_cores();
    cores::on_all(|core| {
        RAN[core].fetch_add(1, Ordering::Relaxed);
    });
    for (core, ran) in RAN.iter().enumerate() {
        let expected = usize::from(core < count);
        assert_eq!(
            ran.load(Ordering::Relaxed),
            expected,
            "rounds of core {core}"
        );
    }
}

fn state() -> [u64; 4] {
    [
        Cr0::read_raw(),
        Cr3::read_raw().0.start_address().as_u64(),
        Cr4::read_raw(),
        Efer::read_raw(),
    ]
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let mut frame = [depth; 32];
    if depth > 0 {
        black_box(&mut frame);
        recurse(depth - 1) + frame[0]
    } else {
        0
    }
}
