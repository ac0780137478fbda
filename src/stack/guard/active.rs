//! Guards in the page tables that are in use, for kernels without a frame allocator.

use super::{GuardError, Guarded, unmap_all};
use core::array;
use core::cell::UnsafeCell;
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};
use x86_64::VirtAddr;
use x86_64::instructions::interrupts::without_interrupts;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr3};
use x86_64::structures::paging::{
    FrameAllocator, OffsetPageTable, PageTable, PhysFrame, Size4KiB, Translate,
};

/// Memory of the kernel's own for page tables: see [`unmap_in_active_tables`].
///
/// It lies in `.bss`, so it adds nothing to the kernel's image.
pub struct SpareTables<const COUNT: usize> {
    tables: UnsafeCell<[PageTable; COUNT]>,
    taken: AtomicUsize,
}

// SAFETY: `taken` gives each table away once, and this type never refers to one that it gave away.
unsafe impl<const COUNT: usize> Sync for SpareTables<COUNT> {}

impl<const COUNT: usize> SpareTables<COUNT> {
    /// Returns memory for this many tables.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            tables: UnsafeCell::new([const { PageTable::new() }; COUNT]),
            taken: AtomicUsize::new(0),
        }
    }
}

impl<const COUNT: usize> Default for SpareTables<COUNT> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const COUNT: usize> fmt::Debug for SpareTables<COUNT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = self.taken.load(Ordering::Relaxed).min(COUNT);
        write!(f, "SpareTables({taken} of {COUNT} taken)")
    }
}

/// The spare tables as frames.
struct Frames<'a, const COUNT: usize> {
    spare: &'a SpareTables<COUNT>,
    /// Where the tables are. Nothing stands for one that is not mapped.
    at: [Option<PhysFrame>; COUNT],
}

// SAFETY: each table is given away once, and nothing else refers to its memory.
unsafe impl<const COUNT: usize> FrameAllocator<Size4KiB> for Frames<'_, COUNT> {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let next = |taken| (taken < COUNT).then_some(taken + 1);
        let taken = self
            .spare
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        self.at[taken.ok()?]
    }
}

/// Unmaps the guards of many stacks as [`unmap_all`] does, in the page tables that this core uses,
/// and returns their number.
///
/// The tables are found through CR3. Huge pages are split by means of `spare`: one table for each
/// page of 2 MiB that contains guards, and one more for each page of 1 GiB. While this runs,
/// interrupts are off on this core, and so is the write protection of the kernel's own pages,
/// because UEFI firmware may leave its tables write-protected.
///
/// ```no_run
/// use kfiber::scheduler::{GuardedFiberCell, GuardedFiberPool};
/// use kfiber::stack::guard::{self, SpareTables};
/// use kfiber::x86_64::VirtAddr;
///
/// static SHELL: GuardedFiberCell<{ 32 * 1024 }> = GuardedFiberCell::new();
/// static WORKERS: GuardedFiberPool<{ 16 * 1024 }, 8> = GuardedFiberPool::new();
/// static SPARE: SpareTables<4> = SpareTables::new();
///
/// fn at_boot(physical_memory_at: VirtAddr) {
///     // SAFETY: all physical memory is mapped there, and only this core runs.
///     let unmapped =
///         unsafe { guard::unmap_in_active_tables(&[&SHELL, &WORKERS], physical_memory_at, &SPARE) };
///     assert_eq!(unmapped, Ok(9));
/// }
/// ```
///
/// # Errors
///
/// As for [`unmap_all`]. `spare` has too few tables if this is [`GuardError::OutOfFrames`].
///
/// # Safety
///
/// - This core uses page tables of four levels. All of them, and the memory of `spare`, can be
///   reached at `physical_memory_at` plus their physical address.
/// - Nobody else reads or changes the tables during the call.
/// - Nothing uses the bytes of the guards.
/// - Other cores that use these tables are told to flush the pages, as your kernel does after any
///   other unmapping.
///
/// # Context
///
/// Callable from: boot code, fiber, scheduler, at privilege level 0. Blocks: nothing.
pub unsafe fn unmap_in_active_tables<const COUNT: usize>(
    stacks: &[&dyn Guarded],
    physical_memory_at: VirtAddr,
    spare: &'static SpareTables<COUNT>,
) -> Result<usize, GuardError> {
    let level_4 = physical_memory_at + Cr3::read().0.start_address().as_u64();
    let level_4: *mut PageTable = level_4.as_mut_ptr();
    // SAFETY: the caller's promise. The reference ends before the next one begins.
    let level_4_now = unsafe { &mut *level_4 };
    // SAFETY: as above.
    let active = unsafe { OffsetPageTable::new(level_4_now, physical_memory_at) };
    let tables: *const PageTable = spare.tables.get().cast();
    let at = array::from_fn(|index| {
        let address = active.translate_addr(VirtAddr::from_ptr(tables.wrapping_add(index)))?;
        Some(PhysFrame::containing_address(address))
    });
    let mut frames = Frames { spare, at };
    without_interrupts(|| {
        let flags = Cr0::read();
        // SAFETY: code of the kernel that writes only what it may does not notice.
        unsafe { Cr0::write(flags - Cr0Flags::WRITE_PROTECT) };
        // SAFETY: the caller's promise.
        let level_4 = unsafe { &mut *level_4 };
        // SAFETY: as above.
        let unmapped = unsafe { unmap_all(stacks, level_4, physical_memory_at, &mut frames) };
        // SAFETY: what was there before.
        unsafe { Cr0::write(flags) };
        unmapped
    })
}
