//! Guards in the page tables that the core uses, found and written without anything of the kernel's.

use super::{GuardError, Guarded, is_mapped_writable, unmap_all};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering};
use x86_64::VirtAddr;
use x86_64::instructions::interrupts::without_interrupts;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr3, Cr4, Cr4Flags};
use x86_64::structures::paging::{
    FrameAllocator, OffsetPageTable, PageTable, PhysFrame, Size4KiB, Translate,
};

/// Frames for page tables in a static, for kernels that have no frame allocator when they unmap
/// their guards.
///
/// Each huge page that contains a guard takes a frame if it is one of 2 MiB, and two if it is one
/// of 1 GiB. Those of neighbouring stacks are shared. A frame is never given back.
#[repr(C, align(4096))]
pub struct TableFrames<const FRAMES: usize> {
    frames: [UnsafeCell<PageTable>; FRAMES],
    given: AtomicUsize,
}

// SAFETY: only the counter gives the frames out, each once, and nothing else uses their memory.
unsafe impl<const FRAMES: usize> Sync for TableFrames<FRAMES> {}

impl<const FRAMES: usize> TableFrames<FRAMES> {
    /// Returns unused frames.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            frames: [const { UnsafeCell::new(PageTable::new()) }; FRAMES],
            given: AtomicUsize::new(0),
        }
    }
}

impl<const FRAMES: usize> Default for TableFrames<FRAMES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const FRAMES: usize> core::fmt::Debug for TableFrames<FRAMES> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TableFrames")
            .field("frames", &FRAMES)
            .field("given", &self.given.load(Ordering::Relaxed))
            .finish()
    }
}

/// The frames of a static, with the addresses that the page tables give them.
struct Supply<'a, const FRAMES: usize> {
    frames: [Option<PhysFrame>; FRAMES],
    given: &'a AtomicUsize,
}

// SAFETY: the counter gives each frame out once, and nothing else uses its memory.
unsafe impl<const FRAMES: usize> FrameAllocator<Size4KiB> for Supply<'_, FRAMES> {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let index = self.given.fetch_add(1, Ordering::Relaxed);
        self.frames.get(index).copied().flatten()
    }
}

/// Unmaps the guards of many stacks, as [`unmap_all`] does, in the page tables that this core uses,
/// and returns their number.
///
/// The tables are found by CR3. They may be read-only, as those of UEFI firmware are: write
/// protection is turned off for the time of the call, with interrupts off.
///
/// ```no_run
/// use kfiber::scheduler::GuardedFiberPool;
/// use kfiber::stack::guard::{self, TableFrames};
/// use kfiber::x86_64::VirtAddr;
///
/// static WORKERS: GuardedFiberPool<{ 16 * 1024 }, 8> = GuardedFiberPool::new();
/// static FRAMES: TableFrames<4> = TableFrames::new();
///
/// fn at_boot() {
///     let physical_memory_at = VirtAddr::new(0); // identity-mapped here
///     // SAFETY: all page tables lie in the mapped physical memory, and only this core runs.
///     unsafe { guard::unmap_in_use(&[&WORKERS], physical_memory_at, &FRAMES) }.expect("guards");
/// }
/// ```
///
/// # Errors
///
/// Returns the [`GuardError`] of the first stack whose guard could not be unmapped, and
/// [`GuardError::FiveLevels`] if the tables have five levels.
///
/// # Safety
///
/// - All page tables, and all of the kernel's statics, can be reached at `physical_memory_at` plus
///   their physical address.
/// - Nobody else has a reference to the page tables, or changes them, during the call.
/// - Nothing uses the bytes of the guards.
/// - Other cores that use these tables are told to flush the pages.
///
/// # Context
///
/// Callable from: boot code, fiber, scheduler. Blocks: the core, for less than a microsecond for
/// each stack.
pub unsafe fn unmap_in_use<const FRAMES: usize>(
    stacks: &[&dyn Guarded],
    physical_memory_at: VirtAddr,
    frames: &'static TableFrames<FRAMES>,
) -> Result<usize, GuardError> {
    if Cr4::read().contains(Cr4Flags::L5_PAGING) {
        return Err(GuardError::FiveLevels);
    }
    let level_4 = level_4_table(physical_memory_at);
    without_interrupts(|| {
        // SAFETY: the caller's promise; the reference is not used after `supply` was made.
        let table = unsafe { &mut *level_4 };
        // SAFETY: the caller's promise.
        let addresses = unsafe { OffsetPageTable::new(table, physical_memory_at) };
        let mut supply = Supply {
            frames: frames.frames.each_ref().map(|frame| {
                let address = VirtAddr::from_ptr(frame.get());
                addresses
                    .translate_addr(address)
                    .map(PhysFrame::containing_address)
            }),
            given: &frames.given,
        };
        let _writable = WriteProtectionOff::new();
        // SAFETY: the caller's promise; no other reference is in use.
        let level_4 = unsafe { &mut *level_4 };
        // SAFETY: the caller's promise.
        unsafe { unmap_all(stacks, level_4, physical_memory_at, &mut supply) }
    })
}

/// Returns whether the page at this address is mapped writable in the page tables that this core
/// uses.
///
/// # Safety
///
/// All page tables can be read at `physical_memory_at` plus their physical address, and nobody
/// changes them during the call.
pub(crate) unsafe fn is_writable_here(page: usize, physical_memory_at: VirtAddr) -> bool {
    if Cr4::read().contains(Cr4Flags::L5_PAGING) {
        return true; // it cannot be told here
    }
    let level_4 = level_4_table(physical_memory_at);
    // SAFETY: the caller's promise.
    let level_4 = unsafe { &*level_4 };
    // SAFETY: the caller's promise.
    unsafe { is_mapped_writable(page, level_4, physical_memory_at) }
}

/// Returns the address of the top table that this core uses.
fn level_4_table(physical_memory_at: VirtAddr) -> *mut PageTable {
    let (frame, _) = Cr3::read();
    (physical_memory_at + frame.start_address().as_u64()).as_mut_ptr()
}

/// While this lives, ring 0 may write to pages that are mapped read-only.
struct WriteProtectionOff(Cr0Flags);

impl WriteProtectionOff {
    fn new() -> Self {
        let before = Cr0::read();
        // With control-flow enforcement the processor does not allow it (Intel SDM, volume 3, 2.5).
        if !Cr4::read().contains(Cr4Flags::CONTROL_FLOW_ENFORCEMENT) {
            // SAFETY: it allows more than before, to code that writes only to page tables.
            unsafe { Cr0::write(before - Cr0Flags::WRITE_PROTECT) };
        }
        Self(before)
    }
}

impl Drop for WriteProtectionOff {
    fn drop(&mut self) {
        // SAFETY: so it was before.
        unsafe { Cr0::write(self.0) };
    }
}
