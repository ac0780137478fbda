//! With nothing but the canary and the stack pointer, checked when a fiber leaves its stack.

use core::sync::atomic::{AtomicU64, Ordering};

use kfiber::{
    context::ControlBlock,
    scheduler::{
        Failure, FiberPool, JoinErrorKind, JoinHandle,
        overflow::{Detector, Part},
        park, yield_now,
    },
    stack::{FLOOR_BYTES, StackBounds, Storage},
};
use tests_qemu::kernel_test;

use super::{count, overflow, the_overflow, watch_out, ways};
use crate::scheduler::{SCHEDULER, run_until_idle, run_with_interrupts};

const SIZE: usize = 16 * 1024;
pub(super) const CELLS: usize = 5;
pub(super) const NAMES: [&str; CELLS] = ["first", "second", "middle", "fourth", "last"];

/// Dense: below each stack lies the control block of the one before.
pub(super) static POOL: FiberPool<SIZE, CELLS> = FiberPool::new();
/// How many turns the fiber in each slot had.
static TURNS: [AtomicU64; CELLS] = [const { AtomicU64::new(0) }; CELLS];

pub(super) fn bounds_of(slot: usize) -> StackBounds {
    POOL.stacks()[slot].storage_bounds()
}

pub(super) fn spawn<T: Send + 'static>(
    slot: usize,
    closure: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let builder = SCHEDULER.builder().name(NAMES[slot]);
    builder
        .spawn(&POOL.stacks()[slot], closure)
        .expect("it is free")
}

pub(super) fn turns(slot: usize) -> u64 {
    TURNS[slot].load(Ordering::Relaxed)
}

/// A fiber that yields a few times, and counts its turns.
pub(super) fn spawn_neighbour(slot: usize) -> JoinHandle<()> {
    spawn(slot, move || {
        for _ in 0..10 {
            TURNS[slot].fetch_add(1, Ordering::Relaxed);
            yield_now();
        }
    })
}

/// Has the fiber in this slot write over its canary's highest byte, and then leave its stack by `leave`.
fn write_and(slot: usize, leave: fn()) {
    watch_out();
    let others = [0, 1, 2, 3, 4].map(|other| (other != slot).then(|| spawn_neighbour(other)));
    let limit = bounds_of(slot).bottom().addr() + FLOOR_BYTES;
    let overflows = spawn(slot, move || {
        ways::write_byte(limit - 1, 0);
        leave();
    });
    run_with_interrupts();
    let told = overflows.try_join().expect_err("it did not return").kind;
    assert!(
        matches!(told, JoinErrorKind::Failed(Failure::Overflowed(_))),
        "{told:?}"
    );
    the_overflow(NAMES[slot], Detector::Canary);
    for other in others.into_iter().flatten() {
        other.try_join().expect("the others went on");
    }
}

kernel_test! {
    fn one_byte_too_far_is_noticed_at_the_next_yield() {
        write_and(2, || { yield_now(); unreachable!() });
        let below = overflow(0).damaged.expect("a living fiber is below");
        assert_eq!((below.name, below.part), ("second", Part::ControlBlock));
    }

    fn one_byte_too_far_is_noticed_when_the_fiber_waits() {
        write_and(1, || { park().expect("not cancelled"); unreachable!() });
    }

    fn one_byte_too_far_is_noticed_when_the_fiber_ends() {
        write_and(4, || {});
    }

    fn one_byte_too_far_in_the_first_slot_damages_nobody() {
        write_and(0, || { yield_now(); unreachable!() });
        assert!(overflow(0).damaged.is_none());
    }

    /// Each of the bytes that an overflow reaches first.
    fn each_byte_of_the_canarys_upper_half_is_noticed() {
        watch_out();
        for (byte, name) in NAMES.into_iter().enumerate().take(4) {
            spawn(byte, move || {
                let at = bounds_of(byte).bottom().addr() + FLOOR_BYTES - 1 - byte;
                ways::write_byte(at, 0);
            })
            .detach();
            run_with_interrupts();
            assert_eq!(count(), byte as u64 + 1);
            assert_eq!((overflow(byte).name, overflow(byte).detector), (name, Detector::Canary));
        }
    }

    /// The return address is the first word below. It comes back up before it yields, so that only the canary can tell.
    fn a_call_from_the_last_word_of_the_stack_and_back_is_noticed() {
        watch_out();
        spawn_neighbour(3).detach();
        spawn(1, || {
            let bottom = bounds_of(1).bottom().addr();
            ways::jump_to(bottom + FLOOR_BYTES, come_back);
            yield_now();
            unreachable!();
        })
        .detach();
        run_with_interrupts();
        let report = the_overflow("second", Detector::Canary);
        assert_eq!(report.stack, bounds_of(1));
        assert_eq!(turns(3), 10);
    }

    /// The lowest slot, below which no fiber is.
    fn recursion_into_yield_below_the_stack_is_noticed() {
        watch_out();
        let other = spawn_neighbour(3);
        spawn(0, || {
            let bottom = bounds_of(0).bottom().addr();
            ways::jump_to(bottom - 64, yield_here);
            unreachable!();
        })
        .detach();
        run_with_interrupts();
        let report = the_overflow("first", Detector::StackPointer);
        assert!((64..256 + 1024).contains(&report.below_bytes()), "{}", report.below_bytes());
        other.try_join().expect("the others went on");
    }

    fn a_stored_stack_pointer_that_was_written_over_is_noticed_before_the_fiber_runs() {
        let elsewhere = bounds_of(3).top().addr() - 512;
        // From outside, so that the loop chooses who runs.
        write_over_the_stored_stack_pointer(elsewhere, false);
        let report = the_overflow("second", Detector::SavedStackPointer);
        assert_eq!(report.registers.rsp, elsewhere as u64);
    }

    /// Its equals hand over to it, and do not look at its stack pointer. It cannot do much with such a one.
    fn a_stored_stack_pointer_that_was_written_over_is_named_when_the_fiber_faults() {
        write_over_the_stored_stack_pointer(0x10, true);
        let report = the_overflow("second", Detector::SavedStackPointer);
        // Compiled code may have freed its frame before it touched the stack; page 0 is not mapped.
        assert!(report.registers.rsp < 4096, "{:#x}", report.registers.rsp);
    }
}

/// Has a fiber wait, changes its stored stack pointer, and wakes it, from one of its equals or from outside.
fn write_over_the_stored_stack_pointer(sp: usize, by_its_equals: bool) {
    watch_out();
    let victim = spawn(1, || {
        park().expect("not cancelled");
        // Something that needs the stack.
        core::hint::black_box(ways::recurse_to(0, usize::MAX, &|| {}));
        unreachable!("it ran on a stack that is none");
    });
    let unparker = victim.unparker();
    victim.detach();
    run_until_idle();
    let block: *mut ControlBlock =
        core::ptr::with_exposed_provenance_mut(bounds_of(1).top().addr());
    // Its own context is the second, and the stack pointer its third word.
    let word: *mut usize = block.cast::<usize>().wrapping_add(4 + 2);
    // SAFETY: the control block of a fiber that waits.
    let block = unsafe { &*block };
    // SAFETY: as above.
    assert_eq!(unsafe { *word }, block.own().stack_pointer().addr());
    // SAFETY: this is the damage.
    unsafe { word.write_volatile(sp) };
    if by_its_equals {
        spawn(4, move || unparker.unpark()).detach();
    } else {
        unparker.unpark();
    }
    let other = spawn_neighbour(3);
    run_with_interrupts();
    other.try_join().expect("the others went on");
}

const extern "sysv64" fn come_back() {}

pub(super) extern "sysv64" fn yield_here() {
    yield_now();
    unreachable!("a fiber went on that was below its stack");
}
