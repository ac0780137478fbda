//! The ready-made parts of `kfiber::hardware`, on machines that have the hardware and on some that have not.

mod absent;
mod drift;
mod interrupts;
mod late;
mod serial;
mod with_kvm;

use kfiber::{
    hardware::{HardwareError, LocalApic, LocalApicTimer, PitTimer, pic},
    platform::{BareX86_64, Timer},
    scheduler::Scheduler,
    x86_64::VirtAddr,
};
use tests_qemu::exceptions::{self, SPURIOUS_VECTOR, TIMER_VECTOR};

/// The physical addresses on every PC, which the test kernels map one to one.
const APIC_AT: VirtAddr = VirtAddr::new(0xfee0_0000);
const HPET_AT: VirtAddr = VirtAddr::new(0xfed0_0000);

static BY_APIC: Scheduler<BareX86_64<LocalApicTimer>> = Scheduler::new(bare(LocalApicTimer::new()));
static BY_PIT: Scheduler<BareX86_64<PitTimer>> = Scheduler::new(bare(PitTimer::new()));

const fn bare<T: Timer>(timer: T) -> BareX86_64<T> {
    // SAFETY: the harness enters every interrupt with interrupts off, and no handler turns them on.
    unsafe { BareX86_64::new(timer) }
}

fn local_apic() -> Result<LocalApic, HardwareError> {
    // SAFETY: all memory is mapped one to one, and the harness has a handler for the vector.
    unsafe { LocalApic::enable(VirtAddr::zero(), SPURIOUS_VECTOR) }
}

/// Hooks the handler of the local APIC's timer, and starts it.
fn start_apic_timer() -> Result<(), HardwareError> {
    exceptions::hook(TIMER_VECTOR, |_| {
        BY_APIC.timer_interrupt();
        BY_APIC.platform().timer().end_of_interrupt();
    });
    // SAFETY: the handler is above, and nobody uses the PIT or the harness's own timer in these tests.
    unsafe {
        BY_APIC
            .platform()
            .timer()
            .start(local_apic()?, TIMER_VECTOR)
    }
}

/// Puts the lines of the PIC on the vectors of the harness, and hooks the handler of the PIT's.
fn prepare_pic() {
    pic::remap(TIMER_VECTOR).expect("32 is allowed");
    exceptions::hook(TIMER_VECTOR, |_| {
        BY_PIT.timer_interrupt();
        BY_PIT.platform().timer().end_of_interrupt();
    });
}

fn start_pit_one_shot() -> Result<(), HardwareError> {
    prepare_pic();
    // SAFETY: the handler was hooked, and nobody else uses the PIT.
    unsafe { BY_PIT.platform().timer().start_one_shot() }
}

fn start_pit_ticking(ticks_per_second: u32) -> Result<(), HardwareError> {
    prepare_pic();
    // SAFETY: as above.
    unsafe { BY_PIT.platform().timer().start_ticking(ticks_per_second) }
}
