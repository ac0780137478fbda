//! What the processor says about its timers, by the CPUID instruction.

use core::arch::x86_64::{__cpuid, CpuidResult};

/// Returns a leaf, or nothing if the processor has no such leaf.
#[expect(unused_unsafe, reason = "compilers before 1.94 demand it")]
fn leaf(number: u32) -> Option<CpuidResult> {
    let first_of_its_range = number & 0xf000_0000;
    // SAFETY: every x86_64 processor has the instruction.
    let last = unsafe { __cpuid(first_of_its_range) }.eax;
    // A processor without the range answers with something that is not in it.
    if last & 0xf000_0000 != first_of_its_range || number > last {
        return None;
    }
    // SAFETY: as above.
    Some(unsafe { __cpuid(number) })
}

fn has(bit: u32, register: impl FnOnce(CpuidResult) -> u32, number: u32) -> bool {
    leaf(number).is_some_and(|leaf| register(leaf) & (1 << bit) != 0)
}

/// Whether the core has a local APIC that is not turned off.
pub(super) fn has_local_apic() -> bool {
    has(9, |leaf| leaf.edx, 1)
}

pub(super) fn has_x2apic() -> bool {
    has(21, |leaf| leaf.ecx, 1)
}

pub(super) fn has_tsc_deadline() -> bool {
    has(24, |leaf| leaf.ecx, 1)
}

/// Whether this is a virtual machine.
fn is_virtual() -> bool {
    has(31, |leaf| leaf.ecx, 1)
}

/// Whether the time-stamp counter always has the same frequency, and never stops.
///
/// Virtual machines often hide the bit, because they could be moved to another processor. They
/// count at one frequency all the same.
pub(super) fn is_tsc_invariant() -> bool {
    has(8, |leaf| leaf.edx, 0x8000_0007) || is_virtual()
}

/// Returns the frequency of the time-stamp counter in Hz, if it is stated exactly.
///
/// Leaf 16h is not used: it states what is printed on the package, not what the counter does.
pub(super) fn tsc_hz() -> Option<u64> {
    hz_by_hypervisor().or_else(hz_by_crystal)
}

/// Leaf 15h: the frequency of the crystal, and the ratio to it (Intel SDM, volume 3, 19.7.3). Many
/// processors state the ratio only.
fn hz_by_crystal() -> Option<u64> {
    let leaf = leaf(0x15)?;
    let [denominator, numerator, crystal_hz] = [leaf.eax, leaf.ebx, leaf.ecx].map(u64::from);
    if denominator == 0 || numerator == 0 || crystal_hz == 0 {
        return None;
    }
    Some(crystal_hz * numerator / denominator)
}

/// Leaf `4000_0010h` of `VMware`, which KVM has as well if it is told so: the frequency in kHz.
fn hz_by_hypervisor() -> Option<u64> {
    if !is_virtual() {
        return None;
    }
    let name = leaf(0x4000_0000)?;
    let name = [name.ebx, name.ecx, name.edx].map(u32::to_le_bytes);
    let is_known =
        name.as_flattened() == b"VMwareVMware" || name.as_flattened() == b"KVMKVMKVM\0\0\0";
    let khz = leaf(0x4000_0010).filter(|_| is_known)?.eax;
    (khz != 0).then(|| u64::from(khz) * 1000)
}
