//! With guard pages: the fault names the fiber, nothing was written, and the others go on.

use core::sync::atomic::{AtomicU64, Ordering};

use kfiber::{
    scheduler::{
        Failure, GuardedFiberPool, JoinErrorKind, JoinHandle, overflow::Detector, yield_now,
    },
    stack::{PAGE_SIZE, StackBounds, Storage, guard},
};
use tests_qemu::{
    interrupts::{on_tick, start_one_shot},
    kernel_test,
    paging::{FramePool, table},
};
use x86_64::VirtAddr;

use super::{count, overflow, the_overflow, watch_out, ways};
use crate::scheduler::{SCHEDULER, run_with_interrupts};

const SIZE: usize = 8 * PAGE_SIZE;
const CELLS: usize = 5;
const NAMES: [&str; CELLS] = ["first", "second", "middle", "fourth", "last"];

pub(super) static POOL: GuardedFiberPool<SIZE, CELLS> = GuardedFiberPool::new();
/// How many turns the neighbours had.
static TURNS: AtomicU64 = AtomicU64::new(0);

/// Takes away the guards, and has overflows reported.
pub(super) fn prepare() {
    prepare_all(POOL.stacks());
}

/// The same for these cells.
pub(super) fn prepare_all<S: Storage>(cells: &[S]) {
    watch_out();
    for cell in cells {
        // SAFETY: the only use of the table in this call.
        let mut table = unsafe { table() };
        let level_4 = table.level_4_table_mut();
        // SAFETY: all memory is mapped one to one; nobody uses a guard's memory.
        unsafe {
            guard::unmap(
                cell.storage_bounds(),
                level_4,
                VirtAddr::zero(),
                &mut FramePool,
            )
        }
        .expect("frames are left");
    }
}

pub(super) fn bounds_of(slot: usize) -> StackBounds {
    POOL.stacks()[slot].storage_bounds()
}

fn spawn<T: Send + 'static>(
    slot: usize,
    closure: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let builder = SCHEDULER.builder().name(NAMES[slot]);
    builder
        .spawn(&POOL.stacks()[slot], closure)
        .expect("it is free")
}

/// A fiber that keeps what it has on its stack, and notices if somebody changes it.
fn spawn_witness(slot: usize) -> JoinHandle<bool> {
    spawn(slot, move || {
        let mut mine = core::hint::black_box([slot as u64; 64]);
        for turn in 0..20 {
            yield_now();
            TURNS.fetch_add(1, Ordering::Relaxed);
            mine.iter_mut().for_each(|word| *word += turn);
            core::hint::black_box(&mut mine);
        }
        mine == [slot as u64 + 190; 64]
    })
}

/// Has the fiber in this slot overflow, with a witness in each of the others.
fn overflow_in(slot: usize, closure: impl FnOnce() + Send + 'static) {
    prepare();
    let witnesses = [0, 1, 2, 3, 4].map(|other| (other != slot).then(|| spawn_witness(other)));
    let overflows = spawn(slot, move || {
        yield_now();
        closure();
        unreachable!("the overflow was not noticed");
    });
    run_with_interrupts();
    let told = overflows
        .try_join()
        .map(|()| "returned")
        .expect_err("it did not return");
    assert!(
        matches!(told.kind, JoinErrorKind::Failed(Failure::Overflowed(_))),
        "{told}"
    );
    for witness in witnesses.into_iter().flatten() {
        assert!(
            witness.try_join().expect("it has ended"),
            "its stack was written over"
        );
    }
    assert_eq!(TURNS.load(Ordering::Relaxed), 4 * 20, "the others went on");
    let report = the_overflow(NAMES[slot], Detector::Guard);
    assert_eq!(report.stack, bounds_of(slot));
    assert!(
        report.stack.guard().contains(&report.address),
        "{:#x}",
        report.address
    );
    assert!(report.damaged.is_none(), "nothing was written");
}

kernel_test! {
    fn one_byte_below_the_stack_is_named() {
        let bottom = bounds_of(2).bottom().addr();
        overflow_in(2, move || ways::write_byte(bottom - 1, 1));
        assert_eq!(overflow(0).below_bytes(), 1);
    }

    fn one_page_below_the_stack_is_named() {
        let bottom = bounds_of(2).bottom().addr();
        overflow_in(2, move || ways::write_byte(bottom - PAGE_SIZE, 1));
        assert_eq!(overflow(0).below_bytes(), PAGE_SIZE);
    }

    fn a_huge_frame_is_named() {
        let bottom = bounds_of(2).bottom().addr();
        overflow_in(2, move || {
            ways::recurse_to(bottom, 12_000, &|| ways::use_20_kilobytes_at_once());
        });
    }

    fn recursion_in_the_first_slot_is_named() {
        overflow_in(0, || { ways::recurse(0); });
    }

    fn recursion_in_a_middle_slot_is_named() {
        overflow_in(2, || { ways::recurse(0); });
        let report = overflow(0);
        assert!(report.registers.rsp < report.stack.bottom().addr() as u64 + 256);
        let text = ways::recurse as *const () as u64;
        assert!((text..text + 0x200).contains(&report.registers.rip), "in the function that recursed");
        assert!(!report.with_interrupts_off);
    }

    fn recursion_in_the_last_slot_is_named() {
        overflow_in(4, || { ways::recurse(0); });
    }

    fn an_interrupt_handler_that_overflows_the_stack_is_named() {
        on_tick(|_| { ways::recurse(0); });
        overflow_in(3, || {
            start_one_shot(1_000);
            loop {
                core::hint::spin_loop();
            }
        });
        assert!(overflow(0).with_interrupts_off, "it was in a handler");
    }

    fn all_slots_overflow_and_each_is_named() {
        prepare();
        for slot in 0..CELLS {
            spawn(slot, || { yield_now(); ways::recurse(0); }).detach();
        }
        run_with_interrupts();
        assert_eq!(count(), CELLS as u64);
        for (slot, name) in NAMES.into_iter().enumerate() {
            let report = overflow(slot);
            assert_eq!((report.name, report.detector), (name, Detector::Guard));
            assert_eq!(report.stack, bounds_of(slot));
        }
    }

    /// Both are deep in their stacks when the first goes too far.
    fn two_adjacent_fibers_overflow_at_once_and_each_is_named() {
        prepare();
        for slot in [1, 2] {
            let bottom = bounds_of(slot).bottom().addr();
            spawn(slot, move || {
                ways::recurse_to(bottom, 1024, &|| yield_now());
                ways::recurse_to(bottom, 1024, &|| { yield_now(); ways::recurse(0); });
            })
            .detach();
        }
        let witness = spawn_witness(0);
        run_with_interrupts();
        assert!(witness.try_join().expect("it has ended"));
        assert_eq!([0, 1].map(|index| overflow(index).name), ["second", "middle"]);
        assert_eq!([0, 1].map(|index| overflow(index).detector), [Detector::Guard; 2]);
        assert_eq!(count(), 2);
    }

    /// A pointer of the one that runs into the guard of one that does not.
    fn a_hit_of_anothers_guard_names_both() {
        prepare();
        let guard = bounds_of(3).guard();
        spawn(3, yield_now).detach();
        spawn(1, move || ways::write_byte(guard.start + 100, 1)).detach();
        run_with_interrupts();
        let report = the_overflow("second", Detector::GuardOfAnother);
        let hit = report.damaged.expect("of another");
        assert_eq!((hit.name, hit.address), ("fourth", guard.start + 100));
    }
}
