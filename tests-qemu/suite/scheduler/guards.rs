//! Overflow of a guarded cell: it faults at the guard, whichever cell of a pool it is.

use core::{
    arch::asm,
    sync::atomic::{AtomicU64, Ordering},
};

use kfiber::{
    scheduler::{GuardedFiberCell, GuardedFiberPool, yield_now},
    stack::{PAGE_SIZE, Storage, guard},
};
use tests_qemu::{
    exceptions::{self, TrapFrame},
    kernel_test,
    paging::{FramePool, table},
};
use x86_64::{VirtAddr, registers::control::Cr2};

use super::{SCHEDULER, run};

const PAGE_FAULT: u8 = 14;
const SIZE: usize = 4 * PAGE_SIZE;
const CELLS: usize = 4;

static POOL: GuardedFiberPool<SIZE, CELLS> = GuardedFiberPool::new();
static FAULTS: [AtomicU64; CELLS] = [const { AtomicU64::new(0) }; CELLS];
static GUARD: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

fn unmap_guard(cell: &GuardedFiberCell<SIZE>) {
    // SAFETY: the only use of the table in this call.
    let mut table = unsafe { table() };
    // SAFETY: all memory is mapped one to one; nobody uses a guard's memory.
    let unmapped = unsafe {
        guard::unmap(
            cell.storage_bounds(),
            table.level_4_table_mut(),
            VirtAddr::zero(),
            &mut FramePool,
        )
    };
    unmapped.expect("frames are left");
}

/// Calls itself until the stack ends.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let frame = core::hint::black_box([depth; 16]);
    if depth == u64::MAX {
        return 0;
    }
    recurse(depth + 1) + frame[3]
}

/// Reports the fault as it would be reported without us, if it happened in the guard, and fails otherwise.
fn expect_guard(frame: &mut TrapFrame) {
    let [start, end] = GUARD.each_ref().map(|bound| bound.load(Ordering::Relaxed));
    let address = Cr2::read_raw();
    assert!(
        (start..end).contains(&address),
        "{address:#x} is not in the guard {start:#x}..{end:#x}"
    );
    exceptions::report(frame);
}

/// Counts a fault in the guard of one of the pool's cells, and goes on where rdx says.
fn count_and_skip(frame: &mut TrapFrame) {
    let address = usize::try_from(Cr2::read_raw()).expect("64 bits");
    let cell = POOL
        .stacks()
        .iter()
        .position(|cell| cell.storage_bounds().guard().contains(&address));
    FAULTS[cell.expect("a fault outside of all guards")].fetch_add(1, Ordering::Relaxed);
    frame.rip = frame.rdx;
}

/// Writes one byte, or does not if that faults.
fn touch(address: usize) {
    // SAFETY: the byte is in a guard, or is the lowest of our own stack, and is written as it was.
    unsafe {
        asm!("lea rdx, [rip + 2f]", "mov al, [rdi]", "mov [rdi], al", "2:", in("rdi") address, out("rdx") _, out("al") _);
    };
}

kernel_test! {
    fn recursion_without_end_faults_in_the_guard() faults("#PF") {
        let cell = &POOL.stacks()[2];
        unmap_guard(cell);
        let range = cell.storage_bounds().guard();
        GUARD[0].store(range.start as u64, Ordering::Relaxed);
        GUARD[1].store(range.end as u64, Ordering::Relaxed);
        exceptions::hook(PAGE_FAULT, expect_guard);
        SCHEDULER.spawn(cell, || recurse(0)).expect("it is new").detach();
        run();
    }

    /// One byte below the stack, the guard's lowest byte, and the stack's own lowest byte, which is no fault.
    fn every_cell_of_a_pool_has_a_guard_of_its_own() {
        POOL.stacks().iter().for_each(unmap_guard);
        exceptions::hook(PAGE_FAULT, count_and_skip);
        for _ in 0..CELLS {
            let fiber = SCHEDULER.spawn(&POOL, || {
                let local = 0_u8;
                let here = (&raw const local).addr();
                let mut cells = POOL.stacks().iter().map(|cell| cell.storage_bounds());
                let bounds = cells.find(|bounds| bounds.contains(here)).expect("it runs on one");
                let faults = || FAULTS.iter().map(|count| count.load(Ordering::Relaxed)).sum::<u64>();
                yield_now();
                let before = faults();
                touch(bounds.bottom().addr());
                assert_eq!(faults(), before);
                touch(bounds.bottom().addr() - 1);
                assert_eq!(faults(), before + 1);
                touch(bounds.guard().start);
                assert_eq!(faults(), before + 2);
                yield_now();
            });
            fiber.expect("one for each").detach();
        }
        run();
        FAULTS.iter().for_each(|count| assert_eq!(count.load(Ordering::Relaxed), 2));
    }
}
