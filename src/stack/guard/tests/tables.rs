//! Page tables in the memory of a test, where physical addresses equal virtual ones, and their
//! interpretation as the processor would do it.

use super::std::boxed::Box;
use super::std::vec::Vec;
use crate::stack::StackBounds;
use crate::stack::guard::{GuardError, clear, verify};
use core::ptr;
use x86_64::structures::paging::{FrameAllocator, PageTable, PhysFrame, Size4KiB};
use x86_64::{PhysAddr, VirtAddr};

pub(super) const PRESENT: u64 = 1;
pub(super) const WRITABLE: u64 = 1 << 1;
pub(super) const USER: u64 = 1 << 2;
/// The bit for a huge page at the levels 2 and 3, and for the page attribute table at level 1.
pub(super) const BIT_7: u64 = 1 << 7;
pub(super) const GLOBAL: u64 = 1 << 8;
pub(super) const HUGE_PAT: u64 = 1 << 12;
pub(super) const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

pub(super) const PAGE: usize = 4096;
pub(super) const MIB_2: usize = 1 << 21;
pub(super) const GIB: usize = 1 << 30;

type Raw = [u64; 512];

/// A limited supply of frames from the memory of the test, whose contents are garbage.
pub(super) struct Frames(pub(super) usize);

// SAFETY: each frame is a leaked table of its own.
unsafe impl FrameAllocator<Size4KiB> for Frames {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        self.0 = self.0.checked_sub(1)?;
        let table = new_table(u64::MAX);
        Some(
            PhysFrame::from_start_address(PhysAddr::new(table.expose_provenance() as u64))
                .expect("aligned"),
        )
    }
}

fn new_table(entry: u64) -> *mut Raw {
    let table: *mut Raw = Box::into_raw(Box::new(PageTable::new())).cast();
    // SAFETY: a leaked table, as large and as aligned.
    unsafe { table.write([entry; 512]) };
    table
}

const fn index(address: usize, level: u32) -> usize {
    address >> (12 + 9 * (level - 1)) & 511
}

/// Page tables that a test builds and examines bit by bit.
pub(super) struct Tables(*mut Raw);

impl Tables {
    pub(super) fn new() -> Self {
        Self(new_table(0))
    }

    /// Writes the entry for `address` at `level`, and the tables above it, which grant `tables`.
    pub(super) fn map_with(&self, address: usize, level: u32, entry: u64, tables: u64) {
        let mut table = self.0;
        for above in (level + 1..=4).rev() {
            // SAFETY: a table of this test.
            let slot = unsafe { &mut (*table)[index(address, above)] };
            if *slot == 0 {
                *slot = new_table(0).expose_provenance() as u64 | tables;
            }
            table = ptr::with_exposed_provenance_mut((*slot & ADDRESS) as usize);
        }
        // SAFETY: as above.
        unsafe { (*table)[index(address, level)] = entry };
    }

    pub(super) fn map(&self, address: usize, level: u32, entry: u64) {
        self.map_with(address, level, entry, PRESENT | WRITABLE | USER);
    }

    /// Returns the translation of an address: its physical address, and the bits of the entry that
    /// maps it. The bit for the page attributes is moved to its position in the entry of a 4 KiB
    /// page. Returns `None` if a level is not present.
    fn translate(&self, address: usize) -> Option<(u64, u64)> {
        let mut table = self.0;
        let mut granted = WRITABLE | USER;
        for level in (1..=4).rev() {
            // SAFETY: a table of this test.
            let entry = unsafe { (*table)[index(address, level)] };
            if entry & PRESENT == 0 {
                return None;
            }
            let is_huge = (level == 2 || level == 3) && entry & BIT_7 != 0;
            if level == 1 || is_huge {
                let size = 1_u64 << (12 + 9 * (level - 1));
                let pat = if is_huge {
                    (entry & HUGE_PAT) >> 5
                } else {
                    entry & BIT_7
                };
                let rights = entry & !ADDRESS & !BIT_7 & !(WRITABLE | USER) | granted & entry | pat;
                let start = entry & ADDRESS & !(size - 1);
                return Some((start | address as u64 & (size - 1), rights));
            }
            granted &= entry;
            table = ptr::with_exposed_provenance_mut((entry & ADDRESS) as usize);
        }
        unreachable!("level 1 returns")
    }

    /// Returns all mappings, one page after the other.
    pub(super) fn snapshot(&self, start: usize, size: usize) -> Vec<Option<(u64, u64)>> {
        (start..start + size)
            .step_by(PAGE)
            .map(|page| self.translate(page))
            .collect()
    }

    pub(super) fn clear(&self, page: usize, frames: &mut Frames) -> Result<(), GuardError> {
        // SAFETY: a leaked table, to which no other reference is live.
        let level_4 = unsafe { &mut *self.0.cast::<PageTable>() };
        // SAFETY: the tables of this test, all of them at their physical address.
        unsafe { clear(page, level_4, VirtAddr::zero(), frames) }
    }

    pub(super) fn verify(&self, bounds: StackBounds) -> Result<(), GuardError> {
        // SAFETY: a leaked table, to which nobody writes meanwhile.
        let level_4 = unsafe { &*self.0.cast::<PageTable>() };
        // SAFETY: the tables of this test, all of them at their physical address.
        unsafe { verify(bounds, level_4, VirtAddr::zero()) }
    }
}
