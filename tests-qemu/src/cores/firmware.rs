//! Which cores there are, as the firmware's ACPI tables say.

use core::ptr::NonNull;

use acpi::{
    AcpiError, AcpiHandler, AcpiTables, PhysicalMapping,
    madt::{Madt, MadtEntry},
};

use crate::start_info;

/// Bit of a core's flags: it can be started.
const IS_ENABLED: u32 = 1;

/// Calls `f` with the identity of each usable core's local APIC, in the order of the firmware's table.
///
/// # Errors
///
/// Returns what is wrong with the tables, or that the loader named none.
pub(super) fn apic_ids(mut f: impl FnMut(u32)) -> Result<(), AcpiError> {
    let root = start_info::rsdp().ok_or(AcpiError::NoValidRsdp)?;
    // SAFETY: The loader promises the address of the tables' root, and `OneToOne` maps as it should.
    let tables = unsafe { AcpiTables::from_rsdp(OneToOne, root) }?;
    let madt = tables.find_table::<Madt>()?;
    for entry in madt.get().entries() {
        match entry {
            MadtEntry::LocalApic(core) if core.flags & IS_ENABLED != 0 => f(core.apic_id.into()),
            MadtEntry::LocalX2Apic(core) if core.flags & IS_ENABLED != 0 => f(core.x2apic_id),
            _ => {}
        }
    }
    Ok(())
}

/// All memory below 4 GiB is mapped one to one.
#[derive(Clone, Copy, Debug)]
struct OneToOne;

impl AcpiHandler for OneToOne {
    unsafe fn map_physical_region<T>(
        &self,
        address: usize,
        size: usize,
    ) -> PhysicalMapping<Self, T> {
        let start = NonNull::new(address as *mut T).expect("no table lies at address 0");
        // SAFETY: The memory is mapped for good, at its physical address.
        unsafe { PhysicalMapping::new(address, start, size, size, *self) }
    }

    fn unmap_physical_region<T>(_region: &PhysicalMapping<Self, T>) {}
}
