//! Guard pages: unmapping the page below a stack, by means of the page-table types of the `x86_64`
//! crate. This module is there with the feature `x86_64`.
//!
//! A [`GuardedStack`](super::GuardedStack) only reserves the page. [`unmap`] removes it from the
//! page tables. If a huge page contains it, `unmap` splits that page. It succeeds only if a second
//! walk through the tables finds the page unmapped. [`unmap_all`] does so for all stacks of a
//! kernel, and `unmap_in_use` also finds the tables, for kernels that have no code for them. From
//! then on, the first write below the stack causes a page fault. The fault happens while the stack
//! pointer is on a stack that is used up, so the fault's handler needs a stack of its own: an entry
//! of the interrupt stack table (IST). `check_exception_stacks` checks whether it has one.
//!
//! ```no_run
//! use kfiber::stack::{GuardedStack, Storage, guard};
//! use kfiber::x86_64::{VirtAddr, structures::paging::{FrameAllocator, PageTable, Size4KiB}};
//!
//! static WORKER: GuardedStack<{ 16 * 1024 }> = GuardedStack::new();
//!
//! fn at_boot(level_4: &mut PageTable, frames: &mut impl FrameAllocator<Size4KiB>) {
//!     let physical_memory_at = VirtAddr::new(0); // identity-mapped here
//!     // SAFETY: these are the tables in use, all of them lie in the mapped physical memory, and only this core runs.
//!     unsafe { guard::unmap(WORKER.storage_bounds(), level_4, physical_memory_at, frames) }.expect("guard page");
//! }
//! ```

mod all;
#[cfg(not(target_os = "linux"))]
mod in_use;
#[cfg(not(target_os = "linux"))]
mod ist;
#[cfg(all(test, not(miri)))]
mod tests;

pub use all::{Guarded, unmap_all};
#[cfg(not(target_os = "linux"))]
pub(crate) use in_use::is_writable_here;
#[cfg(not(target_os = "linux"))]
pub use in_use::{TableFrames, unmap_in_use};
#[cfg(not(target_os = "linux"))]
pub use ist::{EXCEPTIONS, NoExceptionStack, check_exception_stacks};

use super::{PAGE_SIZE, StackBounds};
use core::fmt;
use x86_64::PhysAddr;
use x86_64::VirtAddr;
use x86_64::instructions::tlb;
use x86_64::structures::paging::page_table::PageTableEntry;
use x86_64::structures::paging::{
    FrameAllocator, PageTable, PageTableFlags, PageTableIndex, Size4KiB,
};

/// The error returned when a stack has no guard.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuardError {
    /// The stack has no room for a guard below it: use a [`GuardedStack`](super::GuardedStack).
    NoRoom,
    /// The guard does not begin and end at page boundaries.
    Misaligned {
        /// The address at which the guard begins.
        start: usize,
    },
    /// The guard lies in a huge page, and the frame allocator had no frame for the table that
    /// splits it. Nothing in this page was unmapped. Supply more frames, for instance by a larger
    /// `TableFrames`.
    OutOfFrames {
        /// The page that stays mapped.
        page: usize,
    },
    /// The page tables have five levels, which this crate does not walk.
    FiveLevels,
    /// The page is still mapped after it was unmapped, so these are not the tables that describe
    /// it.
    StillMapped {
        /// The page that stays mapped.
        page: usize,
    },
    /// The stack itself, directly above the guard, is not mapped as writable memory.
    StackNotMapped {
        /// The lowest page of the stack.
        page: usize,
    },
}

debug_is_display!(GuardError);

impl fmt::Display for GuardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoRoom => f.write_str("no room for a guard below the stack: use a GuardedStack"),
            Self::Misaligned { start } => {
                write!(f, "guard at {start:#x} is not made of whole pages")
            }
            Self::OutOfFrames { page } => {
                write!(
                    f,
                    "no frame for the page table that splits the huge page around the guard at {page:#x}: supply more frames"
                )
            }
            Self::FiveLevels => f.write_str(
                "the page tables have five levels, and only four are supported: turn off LA57 in the loader",
            ),
            Self::StillMapped { page } => {
                write!(
                    f,
                    "guard at {page:#x} is still mapped: pass the page tables that are in use"
                )
            }
            Self::StackNotMapped { page } => {
                write!(
                    f,
                    "the stack at {page:#x} is not mapped writable: pass the page tables that are in use"
                )
            }
        }
    }
}

impl core::error::Error for GuardError {}

/// Unmaps the guard below a stack and verifies that it is no longer mapped.
///
/// A huge page that contains the guard is split. This takes one frame from `frames` for a 2 MiB
/// page and two for a 1 GiB page. The access rights and the caching of all other memory stay as
/// they were.
///
/// # Errors
///
/// Returns a [`GuardError`], whose variants say what was done.
///
/// # Safety
///
/// - `level_4` is the top of a valid four-level hierarchy. All of its tables, and all frames that
///   `frames` returns, can be written at `physical_memory_at` plus their physical address.
/// - Nothing uses the bytes of the guard.
/// - Other cores that use these tables are told to flush the page, as your kernel does after any
///   other unmapping.
///
/// # Context
///
/// Callable from: boot code, fiber, scheduler. Blocks: nothing.
pub unsafe fn unmap(
    bounds: StackBounds,
    level_4: &mut PageTable,
    physical_memory_at: VirtAddr,
    frames: &mut impl FrameAllocator<Size4KiB>,
) -> Result<(), GuardError> {
    let pages = pages(bounds)?;
    for page in pages.clone() {
        // SAFETY: the caller vouches for the tables.
        unsafe { clear(page, level_4, physical_memory_at, frames) }?;
        // Also drops the translation of a huge page around it (Intel SDM, volume 3, 4.10.4.1).
        tlb::flush(VirtAddr::new_truncate(page as u64));
    }
    // SAFETY: the caller vouches for the tables.
    unsafe { verify(bounds, level_4, physical_memory_at) }
}

/// Walks through the tables and checks that the guard is unmapped and that the stack above it is
/// mapped.
///
/// # Errors
///
/// Returns a [`GuardError`] that names the page whose mapping is wrong.
///
/// # Safety
///
/// `level_4` is the top of a valid four-level hierarchy. All of its tables can be read at
/// `physical_memory_at` plus their physical address.
///
/// # Context
///
/// Callable from: boot code, fiber, scheduler. Blocks: nothing.
pub unsafe fn verify(
    bounds: StackBounds,
    level_4: &PageTable,
    physical_memory_at: VirtAddr,
) -> Result<(), GuardError> {
    let pages = pages(bounds)?;
    for page in pages {
        // SAFETY: the caller vouches for the tables.
        if !unsafe { lookup(page, level_4, physical_memory_at) }.is_empty() {
            return Err(GuardError::StillMapped { page });
        }
    }
    let page = bounds.bottom().addr();
    // SAFETY: the caller vouches for the tables.
    if unsafe { is_mapped_writable(page, level_4, physical_memory_at) } {
        Ok(())
    } else {
        Err(GuardError::StackNotMapped { page })
    }
}

/// Returns whether a page is mapped writable.
///
/// # Safety
///
/// The requirements are those of [`verify`].
unsafe fn is_mapped_writable(
    page: usize,
    level_4: &PageTable,
    physical_memory_at: VirtAddr,
) -> bool {
    // SAFETY: the caller vouches for the tables.
    let rights = unsafe { lookup(page, level_4, physical_memory_at) };
    rights.contains(PageTableFlags::PRESENT | PageTableFlags::WRITABLE)
}

/// Returns the addresses of the guard's pages.
fn pages(bounds: StackBounds) -> Result<core::iter::StepBy<core::ops::Range<usize>>, GuardError> {
    let guard = bounds.guard();
    if guard.is_empty() {
        return Err(GuardError::NoRoom);
    }
    if !guard.start.is_multiple_of(PAGE_SIZE) || !guard.end.is_multiple_of(PAGE_SIZE) {
        return Err(GuardError::Misaligned { start: guard.start });
    }
    Ok(guard.step_by(PAGE_SIZE))
}

/// Returns the index of an address in the table of `level`, where 4 is the top.
fn index(page: usize, level: u32) -> PageTableIndex {
    let bits = (page >> (12 + 9 * (level - 1))) & 0x1ff;
    PageTableIndex::new(u16::try_from(bits).expect("nine bits"))
}

/// Returns the table to which an entry points.
fn table(entry: &PageTableEntry, physical_memory_at: VirtAddr) -> *mut PageTable {
    (physical_memory_at + entry.addr().as_u64()).as_mut_ptr()
}

/// Returns the access rights of a page, or no rights if it is not mapped. A right counts if all
/// levels grant it.
///
/// # Safety
///
/// The requirements are those of [`verify`].
unsafe fn lookup(page: usize, level_4: &PageTable, physical_memory_at: VirtAddr) -> PageTableFlags {
    let mut current: *const PageTable = level_4;
    let mut rights =
        PageTableFlags::PRESENT | PageTableFlags::WRITABLE | PageTableFlags::USER_ACCESSIBLE;
    for level in (1..=4).rev() {
        // SAFETY: the caller vouches for the tables.
        let entry = unsafe { &(&*current)[index(page, level)] };
        rights &= entry.flags();
        if !rights.contains(PageTableFlags::PRESENT) {
            return PageTableFlags::empty();
        }
        if entry.flags().contains(PageTableFlags::HUGE_PAGE) {
            break; // at the lowest level the same bit means something else, but there the walk ends anyway
        }
        current = table(entry, physical_memory_at);
    }
    rights
}

/// Removes one page from the tables and splits huge pages on the way. It does not flush.
///
/// # Safety
///
/// The requirements are those of [`unmap`].
unsafe fn clear(
    page: usize,
    level_4: &mut PageTable,
    physical_memory_at: VirtAddr,
    frames: &mut impl FrameAllocator<Size4KiB>,
) -> Result<(), GuardError> {
    let mut current: *mut PageTable = level_4;
    for level in (2..=4).rev() {
        // SAFETY: the caller vouches for the tables.
        let entry = unsafe { &mut (&mut *current)[index(page, level)] };
        if !entry.flags().contains(PageTableFlags::PRESENT) {
            return Ok(()); // not mapped at all, which serves as a guard
        }
        if entry.flags().contains(PageTableFlags::HUGE_PAGE) {
            let frame = frames
                .allocate_frame()
                .ok_or(GuardError::OutOfFrames { page })?;
            let new: *mut PageTable =
                (physical_memory_at + frame.start_address().as_u64()).as_mut_ptr();
            // SAFETY: the caller vouches that frames given out can be written, and nothing else uses a fresh frame.
            unsafe { new.write(split(entry, level)) };
            // The table grants all rights, so its entries decide, as that of the huge page did.
            let all = PageTableFlags::PRESENT
                | PageTableFlags::WRITABLE
                | PageTableFlags::USER_ACCESSIBLE;
            entry.set_frame(frame, all);
        }
        current = table(entry, physical_memory_at);
    }
    // SAFETY: the caller vouches for the tables.
    unsafe { (&mut *current)[index(page, 1)].set_unused() };
    Ok(())
}

/// Returns a table that maps the same memory as the huge page of `entry`, in pages of the next
/// smaller size. `level` is the level at which `entry` was found.
fn split(entry: &PageTableEntry, level: u32) -> PageTable {
    /// The bit of the page attribute table in the entry of a huge page. In the entry of a 4 KiB
    /// page, that bit is where `HUGE_PAGE` is otherwise.
    const HUGE_PAT: u64 = 1 << 12;
    let pat = entry.addr().as_u64() & HUGE_PAT;
    let start = entry.addr().as_u64() & !HUGE_PAT;
    let mut flags = entry.flags();
    let mut address_bits = pat;
    if level == 2 {
        flags.set(PageTableFlags::HUGE_PAGE, pat != 0);
        address_bits = 0;
    }
    let step = 1_u64 << (12 + 9 * (level - 2));
    let mut new = PageTable::new();
    for (leaf, number) in new.iter_mut().zip(0..) {
        leaf.set_addr(PhysAddr::new(start + number * step + address_bits), flags);
    }
    new
}
