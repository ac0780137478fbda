//! Starts all other cores, by the interrupts that their local APICs understand: INIT, and SIPI twice
//! (Intel SDM, volume 3, 9.4.4.1).

use core::ptr;

use kfiber::hardware::{Destination, HardwareError, Ipi, LocalApic};

use crate::cores;
use crate::kernel::SCHEDULER;

core::arch::global_asm!(
    include_str!("other_core.s"),
    others = const cores::COUNT - 1,
    stack_size = const 64 * 1024,
    entry = sym cores::other_core,
    options(att_syntax),
);

/// A page below 1 MiB, which the loader leaves to the kernel, by its number.
const PAGE: u8 = 8;

/// Has each of the other cores call `other_core`, once. A core beyond those of the scheduler stops.
pub fn start_others(local_apic: LocalApic) -> Result<(), HardwareError> {
    unsafe extern "C" {
        static other_core_begin: u8;
        static other_core_end: u8;
    }
    let begin = &raw const other_core_begin;
    let length = (&raw const other_core_end).addr() - begin.addr();
    let page = ptr::with_exposed_provenance_mut::<u8>(usize::from(PAGE) << 12);
    // SAFETY: nothing else uses the page.
    unsafe { page.copy_from_nonoverlapping(begin, length) };

    // SAFETY: the other cores do nothing yet.
    unsafe { local_apic.send_ipi(Destination::Others, Ipi::Init) }?;
    wait(10_000_000);
    for _ in 0..2 {
        // SAFETY: the page has code that brings a core to `other_core`. One that runs ignores this.
        unsafe { local_apic.send_ipi(Destination::Others, Ipi::Startup(PAGE)) }?;
        wait(200_000);
    }
    Ok(())
}

fn wait(nanoseconds: u64) {
    let clock = SCHEDULER.platform().clock();
    let end = clock.now() + nanoseconds;
    while clock.now() < end {}
}
