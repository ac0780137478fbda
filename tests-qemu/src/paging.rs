//! The kernel's own page tables, through the types of the `x86_64` crate: split, unmap, look up.

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicUsize, Ordering},
};

use x86_64::{
    PhysAddr, VirtAddr,
    structures::paging::{
        FrameAllocator, Mapper, OffsetPageTable, Page, PageTable, PageTableFlags, PhysFrame,
        Size4KiB, Translate, page_table::PageTableEntry,
    },
};

const FRAMES: usize = 128;

#[repr(C, align(4096))]
struct Frames(UnsafeCell<[[u8; 4096]; FRAMES]>);

// SAFETY: Only the counter `TAKEN` hands the frames out, each once.
unsafe impl Sync for Frames {}

static POOL: Frames = Frames(UnsafeCell::new([[0; 4096]; FRAMES]));
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// The frames for page tables: a small static supply, never given back.
#[derive(Clone, Copy, Debug, Default)]
pub struct FramePool;

// SAFETY: Each frame is handed out once, and nothing else refers to the pool's memory.
unsafe impl FrameAllocator<Size4KiB> for FramePool {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let index = TAKEN.fetch_add(1, Ordering::Relaxed);
        (index < FRAMES).then(|| {
            let address = POOL.0.get() as u64 + 4096 * index as u64;
            PhysFrame::containing_address(PhysAddr::new(address))
        })
    }
}

unsafe extern "C" {
    static __executable_start: u8;
    static __data_start: u8;
    static mut kfiber_test_level_4_table: PageTable;
}

/// Returns the page tables. All memory is mapped one to one, so that the offset of physical memory is zero.
///
/// # Safety
///
/// Only one such value may be in use at a time, and memory that somebody uses must not be unmapped.
#[must_use]
pub unsafe fn table() -> OffsetPageTable<'static> {
    let level_4 = &raw mut kfiber_test_level_4_table;
    // SAFETY: The caller promises that this is the only reference.
    let level_4 = unsafe { &mut *level_4 };
    // SAFETY: All memory below 4 GiB is mapped one to one, and the tables lie there.
    unsafe { OffsetPageTable::new(level_4, VirtAddr::zero()) }
}

/// Returns the flags with which the page at `address` is mapped, nothing if it is not.
#[must_use]
pub fn flags(address: u64) -> Option<PageTableFlags> {
    // SAFETY: No other table is in use during this call, and nothing is changed.
    let table = unsafe { table() };
    match table.translate(VirtAddr::new(address)) {
        x86_64::structures::paging::mapper::TranslateResult::Mapped { flags, .. } => Some(flags),
        _ => None,
    }
}

/// Returns whether the page at `address` is mapped.
#[must_use]
pub fn is_mapped(address: u64) -> bool {
    flags(address).is_some()
}

/// Returns the physical address behind `address`, nothing if it is not mapped.
#[must_use]
pub fn physical(address: u64) -> Option<u64> {
    // SAFETY: No other table is in use during this call, and nothing is changed.
    let table = unsafe { table() };
    table
        .translate_addr(VirtAddr::new(address))
        .map(PhysAddr::as_u64)
}

/// Unmaps the 4 KiB page at `address`, splitting a page of 2 MiB first.
///
/// The caller must know that nobody uses the page.
///
/// # Panics
///
/// Panics if the page is not mapped or the supply of frames is exhausted.
pub fn unmap(address: u64) {
    split(address);
    let page = Page::<Size4KiB>::containing_address(VirtAddr::new(address));
    // SAFETY: No other table is in use during this call.
    let mut table = unsafe { table() };
    let (_frame, flush) = table.unmap(page).expect("the page was mapped as 4 KiB");
    flush.flush();
}

/// Makes the page at `address` read-only, splitting a page of 2 MiB first.
///
/// The caller must know that nobody writes to it.
///
/// # Panics
///
/// Panics if the page is not mapped or the supply of frames is exhausted.
pub fn make_read_only(address: u64) {
    split(address);
    let page = Page::<Size4KiB>::containing_address(VirtAddr::new(address));
    // SAFETY: No other table is in use during this call.
    let mut table = unsafe { table() };
    // SAFETY: The caller's promise.
    let flush = unsafe { table.update_flags(page, PageTableFlags::PRESENT) };
    flush.expect("mapped as 4 KiB").flush();
}

/// Makes code and constants read-only, so that a stray pointer into them faults.
pub(crate) fn protect_code() {
    let start = &raw const __executable_start as u64;
    let end = &raw const __data_start as u64;
    for address in (start..end).step_by(4096) {
        // The linker script puts nothing that is written below `__data_start`.
        make_read_only(address);
    }
}

/// Replaces the page of 2 MiB around `address` by 512 of 4 KiB that map the same memory. Does nothing if that is so.
///
/// # Panics
///
/// Panics if nothing is mapped there or the supply of frames is exhausted.
pub fn split(address: u64) {
    let address = VirtAddr::new(address);
    // SAFETY: No other table is in use during this call.
    let mut table = unsafe { table() };
    let level_4 = table.level_4_table_mut();
    let level_3 = next(&level_4[address.p4_index()]);
    let level_2 = next(&level_3[address.p3_index()]);
    let entry = &mut level_2[address.p2_index()];
    assert!(!entry.is_unused(), "nothing is mapped at {address:?}");
    if !entry.flags().contains(PageTableFlags::HUGE_PAGE) {
        return;
    }
    let frame = FramePool
        .allocate_frame()
        .expect("the supply of frames suffices");
    let level_1 = frame.start_address().as_u64() as *mut PageTable;
    // SAFETY: The frame was just taken, so that nobody else refers to it; it is mapped and consists of zeros.
    let level_1 = unsafe { &mut *level_1 };
    let flags = entry.flags() - PageTableFlags::HUGE_PAGE;
    for (small, offset) in level_1.iter_mut().zip((0..).step_by(4096)) {
        small.set_addr(entry.addr() + offset, flags);
    }
    entry.set_addr(
        frame.start_address(),
        PageTableFlags::PRESENT | PageTableFlags::WRITABLE,
    );
    x86_64::instructions::tlb::flush(address);
}

fn next(entry: &PageTableEntry) -> &'static mut PageTable {
    assert!(!entry.is_unused(), "nothing is mapped there");
    let table = entry.addr().as_u64() as *mut PageTable;
    // SAFETY: The entry is present and of level 4 or 3, where this kernel has no huge pages, so it names a table.
    unsafe { &mut *table }
}
