//! A yield that goes straight to a fiber of a higher level, which was woken from outside, looks at both stacks as
//! other ways do.

use core::sync::atomic::{AtomicU64, Ordering};

use kfiber::{
    context::ControlBlock,
    scheduler::{Priority, Unparker, overflow::Detector, park, yield_now},
    stack::FLOOR_BYTES,
};
use tests_qemu::kernel_test;

use super::{
    canary::{self, NAMES, POOL, bounds_of},
    the_overflow, watch_out, ways,
};
use crate::scheduler::{SCHEDULER, run_with_interrupts};

const HIGH: Priority = Priority::new(20).expect("levels are below 32");
/// The slot of the fiber that preempts, and that of the one that yields.
const UPPER: usize = 3;
const LOWER: usize = 1;

/// How often the upper fiber was woken.
static WAKES: AtomicU64 = AtomicU64::new(0);

/// Makes a fiber of a higher level that waits until it is cancelled.
fn spawn_upper() -> Unparker {
    let upper = SCHEDULER.builder().name(NAMES[UPPER]).priority(HIGH);
    let upper = upper.spawn(&POOL.stacks()[UPPER], || {
        while park().is_ok() {
            WAKES.fetch_add(1, Ordering::Relaxed);
        }
    });
    let upper = upper.expect("it is free");
    let unparker = upper.unparker();
    // It is the first that runs, and waits by the time that the others do.
    canary::spawn(4, move || {
        while WAKES.load(Ordering::Relaxed) == 0 {
            yield_now();
        }
        upper.cancel();
    })
    .detach();
    unparker
}

kernel_test! {
    fn a_fiber_that_was_woken_from_outside_preempts_at_once() {
        watch_out();
        let upper = spawn_upper();
        canary::spawn(LOWER, move || {
            upper.unpark();
            yield_now();
            assert_eq!(WAKES.load(Ordering::Relaxed), 1);
        })
        .detach();
        run_with_interrupts();
        assert_eq!(super::count(), 0);
    }

    fn one_byte_too_far_is_noticed_by_the_yield_to_a_fiber_of_a_higher_level() {
        watch_out();
        let upper = spawn_upper();
        canary::spawn(LOWER, move || {
            ways::write_byte(bounds_of(LOWER).bottom().addr() + FLOOR_BYTES - 1, 0);
            upper.unpark();
            yield_now();
            unreachable!("a fiber went on that had overflowed");
        })
        .detach();
        run_with_interrupts();
        the_overflow(NAMES[LOWER], Detector::Canary);
        assert_eq!(WAKES.load(Ordering::Relaxed), 1, "the other was woken");
    }

    fn the_stored_stack_pointer_of_a_fiber_of_a_higher_level_is_looked_at_before_it_preempts() {
        watch_out();
        let upper = spawn_upper();
        // In the stack of another fiber, of which nothing is there.
        let elsewhere = bounds_of(4).bottom().addr() + 1024;
        canary::spawn(LOWER, move || {
            let block: *mut ControlBlock =
                core::ptr::with_exposed_provenance_mut(bounds_of(UPPER).top().addr());
            // Its own context is the second, and the stack pointer its third word.
            let word: *mut usize = block.cast::<usize>().wrapping_add(4 + 2);
            // SAFETY: this is the damage, to the control block of a fiber that waits.
            unsafe { word.write_volatile(elsewhere) };
            upper.unpark();
            yield_now();
            // Nobody else ends the fourth.
            WAKES.store(1, Ordering::Relaxed);
        })
        .detach();
        run_with_interrupts();
        let report = the_overflow(NAMES[UPPER], Detector::SavedStackPointer);
        assert_eq!(report.registers.rsp, elsewhere as u64);
    }
}
