//! Starts the second core, by interrupts that its local APIC understands.

use core::ptr;

use kfiber::hardware::{Destination, HardwareError, Ipi, LocalApic};

use crate::kernel::SCHEDULER;

core::arch::global_asm!(include_str!("second_core.s"), options(att_syntax));

/// A page below 1 MiB, which the loader leaves to the kernel.
const PAGE: u8 = 8;

/// Has the second core call `entry`, once.
pub fn start_core(
    local_apic: LocalApic,
    entry: extern "sysv64" fn() -> !,
) -> Result<(), HardwareError> {
    unsafe extern "C" {
        static second_core_begin: u8;
        static second_core_end: u8;
        static mut second_core_entry: extern "sysv64" fn() -> !;
    }
    let begin = &raw const second_core_begin;
    let length = (&raw const second_core_end).addr() - begin.addr();
    let page = ptr::with_exposed_provenance_mut::<u8>(usize::from(PAGE) << 12);
    // SAFETY: nothing else uses the page.
    unsafe { page.copy_from_nonoverlapping(begin, length) };
    // SAFETY: the second core has not started.
    unsafe { second_core_entry = entry };
    let second = Destination::Core(1);
    // SAFETY: the second core does nothing yet.
    unsafe { local_apic.send_ipi(second, Ipi::Init) }?;
    let start = SCHEDULER.platform().timer().clock().now();
    while SCHEDULER.platform().timer().clock().now() - start < 10_000_000 {} // nanoseconds
    // SAFETY: the page has code that brings the core to `entry`.
    unsafe { local_apic.send_ipi(second, Ipi::Startup(PAGE)) }
}
