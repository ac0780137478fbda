//! Guards that are unmapped without a frame allocator, in the tables that the processor uses.

use kfiber::{
    scheduler::{GuardedFiberCell, GuardedFiberPool},
    stack::{
        PAGE_SIZE, StackBounds, Storage,
        guard::{self, GuardError, Guarded, SpareTables},
    },
};
use tests_qemu::{kernel_test, paging};
use x86_64::{
    VirtAddr,
    instructions::interrupts,
    registers::control::{Cr0, Cr0Flags, Cr3},
    structures::paging::{Mapper, Page, PageTable, PageTableFlags, Size4KiB},
};

use super::{free_memory, probe::is_writable};

const HUGE: usize = 2 << 20;

static CELL: GuardedFiberCell<{ 16 * 1024 }> = GuardedFiberCell::new();
static POOL: GuardedFiberPool<{ 16 * 1024 }, 3> = GuardedFiberPool::new();

fn unmap<const COUNT: usize>(
    stacks: &[&dyn Guarded],
    spare: &'static SpareTables<COUNT>,
) -> Result<usize, GuardError> {
    // SAFETY: Memory is mapped one to one, one core, no other table is in use; nobody uses the guards of these tests.
    unsafe { guard::unmap_in_active_tables(stacks, VirtAddr::zero(), spare) }
}

/// A stack in this huge page above the kernel.
fn in_huge_page(index: usize) -> StackBounds {
    let bottom = free_memory().wrapping_add(index * HUGE + 8 * PAGE_SIZE);
    let bounds = StackBounds::new(bottom, 16 * 1024, PAGE_SIZE).expect("aligned");
    let flags = paging::flags(bottom.addr() as u64).expect("mapped");
    assert!(
        flags.contains(PageTableFlags::HUGE_PAGE),
        "the test needs a huge page to split"
    );
    bounds
}

/// Whether exactly the guard of a stack faults.
fn has_guard(bounds: StackBounds) -> bool {
    let guard = bounds.guard();
    let edges = [guard.start - 1, guard.start, guard.end - 1, guard.end].map(is_writable);
    edges == [true, false, false, true]
}

/// Takes the right to write from the pages of the tables by which an address is found, but not the level 1.
fn protect_tables_of(address: usize) {
    let address = VirtAddr::new(address as u64);
    let mut table = Cr3::read().0.start_address().as_u64();
    for index in [Some(address.p4_index()), Some(address.p3_index()), None] {
        paging::split(table);
        let page = Page::<Size4KiB>::containing_address(VirtAddr::new(table));
        // SAFETY: No other table is in use during this call.
        let mut mapper = unsafe { paging::table() };
        // SAFETY: Nobody writes to the tables but this test.
        let flush = unsafe { mapper.update_flags(page, PageTableFlags::PRESENT) };
        flush.expect("it was split").flush();
        if let Some(index) = index {
            let pointer = table as *const PageTable;
            // SAFETY: The address of a table, mapped one to one, that nobody changes meanwhile.
            table = unsafe { &*pointer }[index].addr().as_u64();
        }
    }
}

kernel_test! {
    fn statics_get_guards_from_spare_tables_alone() {
        static SPARE: SpareTables<4> = SpareTables::new();
        assert_eq!(unmap(&[&CELL, &POOL], &SPARE), Ok(4));
        assert!(has_guard(CELL.storage_bounds()));
        assert!(POOL.stacks().iter().all(|stack| has_guard(stack.storage_bounds())));
    }

    fn each_huge_page_takes_one_spare_table_once() {
        static SPARE: SpareTables<2> = SpareTables::new();
        let bounds = [0, 1, 2].map(in_huge_page);
        for _ in 0..2 {
            assert_eq!(unmap(&[&bounds[0], &bounds[1]], &SPARE), Ok(2));
        }
        let page = bounds[2].guard().start;
        for _ in 0..2 {
            assert_eq!(unmap(&[&bounds[2]], &SPARE), Err(GuardError::OutOfFrames { page }));
        }
        assert_eq!([0, 1].map(|index| has_guard(bounds[index])), [true; 2]);
        assert!(is_writable(page));
    }

    /// As UEFI firmware leaves them.
    fn tables_that_are_write_protected_are_changed_all_the_same() {
        static SPARE: SpareTables<1> = SpareTables::new();
        let bounds = in_huge_page(0);
        protect_tables_of(bounds.bottom().addr());
        let level_4 = Cr3::read().0.start_address().as_u64();
        let flags = paging::flags(level_4).expect("mapped");
        assert!(!flags.contains(PageTableFlags::WRITABLE));
        assert_eq!(unmap(&[&bounds], &SPARE), Ok(1));
        assert!(has_guard(bounds));
        assert!(Cr0::read().contains(Cr0Flags::WRITE_PROTECT), "it is on again");
        assert!(!interrupts::are_enabled(), "they are as before");
    }
}
