//! Long runs: fibers that are made and end, and fibers that do everything at once, with everything counted.
//!
//! Short unless `rounds=N` on the command line asks for more.

mod mixed;

use core::sync::atomic::{AtomicU64, Ordering};

use kfiber::{
    scheduler::{FiberCell, Scheduler, yield_now},
    stack::{StackMemory, Storage},
};
use tests_qemu::{
    command_line, kernel_test,
    platform::{self, Bare},
    println,
};
use x86_64::instructions::interrupts;

const STACK: usize = if cfg!(debug_assertions) { 8192 } else { 2048 };
const CYCLES: u64 = if cfg!(debug_assertions) {
    20_000
} else {
    200_000
};
/// A stack is poisoned again each time that so many fibers have lived in the two.
const FIBERS_PER_POISON: u64 = 256;

static SCHEDULER: Scheduler<Bare> = Scheduler::new(platform::bare());
static CELLS: [FiberCell<STACK>; 2] = [const { FiberCell::new() }; 2];
static ENDED: AtomicU64 = AtomicU64::new(0);
static DEEPEST: AtomicU64 = AtomicU64::new(0);

/// Fills a cell with what no fiber may take for anything of its own, and notes what the ones before it used.
fn poison(cell: &'static FiberCell<STACK>) {
    let cell = &mut Storage::take(cell).expect("its fiber has ended");
    assert!(cell.is_canary_intact());
    DEEPEST.fetch_max(cell.usage().used_bytes as u64, Ordering::Relaxed);
    cell.paint();
}

/// A fiber that makes its successor in the other cell, and ends.
fn make(number: u64, rounds: u64) {
    if number == rounds {
        return;
    }
    let index = usize::from(number % 2 == 1);
    if number % FIBERS_PER_POISON < 2 {
        poison(&CELLS[index]);
    }
    let captured = [number, !number, number.rotate_left(32)];
    let spawned = SCHEDULER.spawn(&CELLS[index], move || {
        let mut frame = core::hint::black_box([number; 16]);
        yield_now(); // its maker ends
        make(number + 1, rounds);
        assert_eq!(captured, [number, !number, number.rotate_left(32)]);
        assert_eq!(core::hint::black_box(&mut frame), &[number; 16]);
        assert_eq!(
            ENDED.fetch_add(1, Ordering::Relaxed),
            number,
            "they end in the order of their making"
        );
    });
    spawned
        .expect("the fiber before the last has ended")
        .detach();
}

kernel_test! {
    /// Ten million in release: `rounds=10000000`.
    fn fibers_are_made_and_end_in_two_poisoned_cells() timeout(600) {
        let rounds = command_line::rounds(CYCLES);
        interrupts::enable();
        make(0, rounds);
        SCHEDULER.run();
        assert_eq!(ENDED.load(Ordering::Relaxed), rounds);
        assert_eq!(SCHEDULER.fibers().count(), 0);
        CELLS.iter().for_each(poison);
        let deepest = DEEPEST.load(Ordering::Relaxed);
        println!("{rounds} fibers lived in two cells; the deepest used {deepest} of {STACK} bytes");
        assert!(deepest < STACK as u64);
    }
}
