//! Guard pages on real page tables: what is unmapped, what is not, and what is said when it cannot be done.

use core::{ops::Range, slice};

use kfiber::stack::{
    GuardedStack, GuardedStackPool, PAGE_SIZE, Stack, StackBounds, Storage,
    guard::{self, GuardError, Guarded, TableFrames},
};
use tests_qemu::{
    kernel_test,
    paging::{self, FramePool},
};
use x86_64::{
    PhysAddr, VirtAddr,
    registers::control::{Cr0, Cr0Flags, Cr3},
    structures::paging::{
        FrameAllocator, PageTable, PageTableFlags, PageTableIndex, PhysFrame, Size4KiB,
        page_table::PageTableEntry,
    },
};

use super::{free_memory, probe::is_writable};

const HUGE: usize = 2 << 20;
const SIZE: usize = 64 * 1024;

/// Counts the frames that it gives out, up to a limit.
struct Frames {
    left: u32,
    given: u32,
}

impl Frames {
    const fn new(left: u32) -> Self {
        Self { left, given: 0 }
    }
}

// SAFETY: It passes on what the pool gives out.
unsafe impl FrameAllocator<Size4KiB> for Frames {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        self.left = self.left.checked_sub(1)?;
        self.given += 1;
        FramePool.allocate_frame()
    }
}

/// Unmaps the guard in the tables that are in use.
fn unmap(bounds: StackBounds, frames: &mut Frames) -> Result<(), GuardError> {
    // SAFETY: No other table is in use during this call.
    let mut table = unsafe { paging::table() };
    // SAFETY: The tables in use, memory mapped one to one, one core; nobody uses the guards of these tests.
    unsafe { guard::unmap(bounds, table.level_4_table_mut(), VirtAddr::zero(), frames) }
}

fn unmap_all(stacks: &[&dyn Guarded], frames: &mut Frames) -> Result<usize, GuardError> {
    // SAFETY: No other table is in use during this call.
    let mut table = unsafe { paging::table() };
    // SAFETY: As above.
    unsafe { guard::unmap_all(stacks, table.level_4_table_mut(), VirtAddr::zero(), frames) }
}

fn verify(bounds: StackBounds) -> Result<(), GuardError> {
    // SAFETY: No other table is in use during this call.
    let table = unsafe { paging::table() };
    // SAFETY: The tables in use, memory mapped one to one.
    unsafe { guard::verify(bounds, table.level_4_table(), VirtAddr::zero()) }
}

/// A stack in the middle of a huge page.
fn in_a_huge_page() -> StackBounds {
    let bottom = free_memory().wrapping_add(40 * PAGE_SIZE);
    let bounds = StackBounds::new(bottom, SIZE, PAGE_SIZE).expect("aligned");
    let flags = paging::flags(bottom.addr() as u64).expect("mapped");
    assert!(
        flags.contains(PageTableFlags::HUGE_PAGE),
        "the test needs a huge page to split"
    );
    bounds
}

fn words(range: Range<usize>) -> &'static mut [u64] {
    let start = core::ptr::with_exposed_provenance_mut(range.start);
    // SAFETY: The callers pass free memory above the kernel, one range at a time.
    unsafe { slice::from_raw_parts_mut(start, range.len() / 8) }
}

fn entry(table: PhysAddr, index: u16) -> &'static mut PageTableEntry {
    let table = table.as_u64() as *mut PageTable;
    // SAFETY: The callers pass the address of a table; memory is mapped one to one, and one entry is used at a time.
    unsafe { &mut (&mut *table)[PageTableIndex::new(index)] }
}

kernel_test! {
    fn a_guard_is_cut_out_of_a_huge_page_and_the_rest_stays_as_it_was() {
        let bounds = in_a_huge_page();
        let start = free_memory().addr();
        for (word, number) in words(start..start + HUGE).iter_mut().zip(0_u64..) {
            *word = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        let rights = paging::flags(start as u64).expect("mapped") - PageTableFlags::HUGE_PAGE;
        let mut frames = Frames::new(9);
        unmap(bounds, &mut frames).expect("a frame is there");
        assert_eq!(frames.given, 1);
        for page in (start..start + HUGE).step_by(PAGE_SIZE) {
            if bounds.guard().contains(&page) {
                assert_eq!(paging::flags(page as u64), None);
                continue;
            }
            assert_eq!(paging::flags(page as u64), Some(rights), "{page:#x}");
            assert_eq!(paging::physical(page as u64), Some(page as u64));
            let first = ((page - start) / 8) as u64;
            for (word, number) in words(page..page + PAGE_SIZE).iter().zip(first..) {
                assert_eq!(*word, number.wrapping_mul(0x9e37_79b9_7f4a_7c15), "{page:#x}");
            }
        }
    }

    fn the_first_byte_below_the_stack_faults_and_so_does_the_whole_guard_and_nothing_else() {
        let bounds = in_a_huge_page();
        let Range { start, end } = bounds.guard();
        let edges = [start - 1, start, end - 1, end];
        // Also brings the translations into the TLB, from where they must vanish.
        assert_eq!(edges.map(is_writable), [true; 4]);
        unmap(bounds, &mut Frames::new(9)).expect("a frame is there");
        assert_eq!(edges.map(is_writable), [true, false, false, true]);
        assert!((start..end).step_by(64).all(|address| !is_writable(address)));
        assert!((end..bounds.top().addr()).step_by(64).all(is_writable));
    }

    fn the_guards_of_statics_pools_arrays_and_foreign_memory_are_unmapped_in_one_call() {
        static STACK: GuardedStack<8192> = GuardedStack::new();
        static POOL: GuardedStackPool<8192, 3> = GuardedStackPool::new();
        static ARRAY: [GuardedStack<8192>; 2] = [const { GuardedStack::new() }; 2];
        let foreign = in_a_huge_page();
        let of_statics = || POOL.stacks().iter().chain(&ARRAY).chain([&STACK]).map(Storage::storage_bounds);
        let guards = || of_statics().chain([foreign]).map(|bounds| bounds.guard().start);
        assert!(guards().all(is_writable));
        assert_eq!(unmap_all(&[&STACK, &POOL, &ARRAY, &foreign], &mut Frames::new(9)), Ok(7));
        assert!(!guards().any(is_writable));
    }

    /// As UEFI firmware leaves them: with read-only tables, and no allocator in sight.
    fn guards_are_unmapped_in_read_only_tables_with_frames_of_a_static() {
        static FRAMES: TableFrames<1> = TableFrames::new();
        let foreign = in_a_huge_page();
        let (level_4, _) = Cr3::read();
        let address = level_4.start_address().as_u64();
        let table = usize::try_from(address).expect("64 bits");
        paging::split(address);
        for page in (table..table + 7 * PAGE_SIZE).step_by(PAGE_SIZE) {
            // The tables lie one behind the other: of the levels 4 and 3, four of level 2, and one of level 1.
            paging::make_read_only(page as u64);
        }
        let before = Cr0::read();
        assert!(before.contains(Cr0Flags::WRITE_PROTECT));
        let guard = foreign.guard().start;
        assert!(is_writable(guard));
        // SAFETY: memory is mapped one to one, one core, and nobody uses the guard.
        let count = unsafe { guard::unmap_in_use(&[&foreign], VirtAddr::zero(), &FRAMES) };
        assert_eq!(count, Ok(1));
        assert!(!is_writable(guard));
        assert_eq!(Cr0::read(), before);
        // The frame was given away.
        let next = StackBounds::new(free_memory().wrapping_add(HUGE + PAGE_SIZE), SIZE, PAGE_SIZE).expect("aligned");
        // SAFETY: as above.
        let result = unsafe { guard::unmap_in_use(&[&next], VirtAddr::zero(), &FRAMES) };
        assert_eq!(result, Err(GuardError::OutOfFrames { page: next.guard().start }));
    }

    fn the_first_stack_without_room_for_a_guard_ends_the_call() {
        static BEFORE: GuardedStack<8192> = GuardedStack::new();
        static DENSE: Stack<4096> = Stack::new();
        static BEHIND: GuardedStack<8192> = GuardedStack::new();
        let result = unmap_all(&[&BEFORE, &DENSE, &BEHIND], &mut Frames::new(9));
        assert_eq!(result, Err(GuardError::NoRoom));
        assert!(!is_writable(BEFORE.storage_bounds().guard().start));
        assert!(is_writable(BEHIND.storage_bounds().guard().start));
    }

    fn a_second_unmap_is_harmless_and_takes_no_frame() {
        let bounds = in_a_huge_page();
        unmap(bounds, &mut Frames::new(9)).expect("a frame is there");
        let mut none = Frames::new(0);
        assert_eq!(unmap(bounds, &mut none), Ok(()));
        assert!(!is_writable(bounds.bottom().addr() - 1));
        assert!(is_writable(bounds.bottom().addr()));
        // Its neighbour lies in the same huge page, which is split already.
        let neighbour = StackBounds::new(bounds.top().wrapping_add(PAGE_SIZE), SIZE, PAGE_SIZE).expect("aligned");
        assert_eq!(unmap(neighbour, &mut none), Ok(()));
        assert!(!is_writable(neighbour.bottom().addr() - 1));
        assert!(is_writable(bounds.top().addr() - 1));
    }

    fn without_a_frame_for_the_split_nothing_changes() {
        let bounds = in_a_huge_page();
        let page = bounds.guard().start;
        let before = paging::flags(page as u64);
        assert_eq!(unmap(bounds, &mut Frames::new(0)), Err(GuardError::OutOfFrames { page }));
        assert_eq!(paging::flags(page as u64), before, "still huge");
        assert!(is_writable(page) && is_writable(bounds.bottom().addr() - 1));
        assert_eq!(verify(bounds), Err(GuardError::StillMapped { page }));
    }

    fn rights_and_caching_survive_the_split() {
        let bounds = in_a_huge_page();
        let huge = free_memory().addr();
        let rights = PageTableFlags::PRESENT | PageTableFlags::WRITABLE | PageTableFlags::NO_EXECUTE
            | PageTableFlags::WRITE_THROUGH | PageTableFlags::BIT_9;
        // SAFETY: No other table is in use during this call.
        let level_4 = unsafe { paging::table() }.level_4_table()[0].addr();
        let level_3 = entry(level_4, 0).addr();
        let entry = entry(level_3, u16::try_from(huge >> 21).expect("below 1 GiB"));
        entry.set_flags(rights | PageTableFlags::HUGE_PAGE);
        x86_64::instructions::tlb::flush_all();
        unmap(bounds, &mut Frames::new(1)).expect("a frame is there");
        for page in [huge, bounds.bottom().addr(), huge + HUGE - PAGE_SIZE] {
            assert!(is_writable(page));
            let flags = paging::flags(page as u64).expect("mapped");
            assert_eq!(flags - PageTableFlags::ACCESSED - PageTableFlags::DIRTY, rights, "{page:#x}");
        }
    }

    /// On tables of the test's own: not every processor has pages of 1 GiB.
    fn a_page_of_one_gibibyte_is_split_twice() {
        let frame = || FramePool.allocate_frame().expect("the pool suffices").start_address();
        let all = PageTableFlags::PRESENT | PageTableFlags::WRITABLE;
        let (level_4, level_3) = (frame(), frame());
        entry(level_4, 0).set_addr(level_3, all);
        entry(level_3, 3).set_addr(PhysAddr::new(3 << 30), all | PageTableFlags::HUGE_PAGE);
        let bottom = core::ptr::with_exposed_provenance_mut((3 << 30) + 5 * HUGE + PAGE_SIZE);
        let bounds = StackBounds::new(bottom, SIZE, PAGE_SIZE).expect("aligned");
        let table = level_4.as_u64() as *mut PageTable;
        // SAFETY: A frame of ours, which holds a table.
        let table = unsafe { &mut *table };
        let mut frames = Frames::new(1);
        // SAFETY: A valid hierarchy that nobody uses.
        let result = unsafe { guard::unmap(bounds, table, VirtAddr::zero(), &mut frames) };
        assert_eq!(result, Err(GuardError::OutOfFrames { page: bounds.guard().start }));
        let mut frames = Frames::new(9);
        // SAFETY: As above.
        let result = unsafe { guard::unmap(bounds, table, VirtAddr::zero(), &mut frames) };
        assert_eq!((result, frames.given), (Ok(()), 1), "one level was split by the first try");
        let level_2 = entry(level_3, 3).addr();
        for index in 0..512 {
            let large = entry(level_2, index);
            if index != 5 {
                assert_eq!(large.addr().as_u64(), (3 << 30) + u64::from(index) * HUGE as u64);
                assert_eq!(large.flags(), all | PageTableFlags::HUGE_PAGE);
                continue;
            }
            for page in 0..512 {
                let small = entry(large.addr(), page);
                assert_eq!(small.is_unused(), page == 0);
                let expected = (3 << 30) + 5 * HUGE as u64 + u64::from(page) * PAGE_SIZE as u64;
                assert!(page == 0 || (small.addr().as_u64(), small.flags()) == (expected, all));
            }
        }
    }

    fn every_slot_of_a_guarded_pool_gets_its_guard() {
        static POOL: GuardedStackPool<{ 16 * 1024 }, 32> = GuardedStackPool::new();
        let mut frames = Frames::new(9);
        for stack in POOL.stacks() {
            unmap(stack.storage_bounds(), &mut frames).expect("a frame is there");
        }
        for stack in POOL.stacks() {
            let bounds = stack.storage_bounds();
            assert_eq!(verify(bounds), Ok(()));
            assert!(!is_writable(bounds.guard().start) && !is_writable(bounds.bottom().addr() - 1));
            assert!((bounds.bottom().addr()..bounds.top().addr()).step_by(512).all(is_writable));
        }
    }

    fn a_guard_is_not_claimed_where_it_is_not() {
        static GUARDED: GuardedStack<8192> = GuardedStack::new();
        let bounds = GUARDED.storage_bounds();
        let page = bounds.guard().start;
        assert_eq!(verify(bounds), Err(GuardError::StillMapped { page }));

        // Tables that are not in use, and know nothing of the stack.
        let mut empty = PageTable::new();
        // SAFETY: An empty table is valid, and nothing reads it.
        let result = unsafe { guard::unmap(bounds, &mut empty, VirtAddr::zero(), &mut Frames::new(9)) };
        assert_eq!(result, Err(GuardError::StackNotMapped { page: bounds.bottom().addr() }));
        assert!(is_writable(page));
    }

    fn a_stack_without_room_for_a_guard_is_refused() {
        static DENSE: Stack<4096> = Stack::new();
        assert_eq!(unmap(DENSE.storage_bounds(), &mut Frames::new(9)), Err(GuardError::NoRoom));
        let bottom = free_memory().wrapping_add(PAGE_SIZE + 64);
        let bounds = StackBounds::new(bottom, SIZE, PAGE_SIZE).expect("aligned");
        let start = bounds.guard().start;
        assert_eq!(unmap(bounds, &mut Frames::new(9)), Err(GuardError::Misaligned { start }));
        assert!(is_writable(start));
    }
}
