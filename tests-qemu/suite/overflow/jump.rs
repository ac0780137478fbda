//! Code that makes a frame without touching it jumps over canary and guard: the stack pointer tells at the next switch, and
//! the one whose memory it came into is named before it runs.

use kfiber::scheduler::{
    overflow::{Detector, Part},
    yield_now,
};
use tests_qemu::kernel_test;

use super::{canary, guard, the_overflow, watch_out, ways};
use crate::scheduler::{SCHEDULER, run_with_interrupts};

kernel_test! {
    fn a_jump_into_the_neighbours_stack_names_both_before_the_neighbour_runs() {
        watch_out();
        let jumper = canary::spawn(3, || {
            yield_now();
            // Into what the neighbour has not used yet.
            ways::jump_to(canary::bounds_of(2).bottom().addr() + 4096, canary::yield_here);
        });
        let neighbour = canary::spawn_neighbour(2);
        jumper.detach();
        // Each had a turn; now it is the jumper's, then the neighbour's.
        run_with_interrupts();
        let report = the_overflow("fourth", Detector::StackPointer);
        let damaged = report.damaged.expect("the neighbour");
        assert_eq!((damaged.name, damaged.part), ("middle", Part::Stack));
        assert!(canary::bounds_of(2).contains(damaged.address));
        assert_eq!(super::TURNS_AT_REPORT.load(core::sync::atomic::Ordering::Relaxed), 1, "it was named before it ran again");
        neighbour.try_join().expect("nothing that it needs was there");
    }

    fn a_jump_over_the_guard_into_the_neighbours_stack_names_both() {
        guard::prepare();
        let names = ["lower", "upper"];
        let cells = guard::POOL.stacks();
        let lower = SCHEDULER.builder().name(names[0]).spawn(&cells[1], || {
            for _ in 0..3 {
                yield_now();
            }
        });
        let upper = SCHEDULER.builder().name(names[1]).spawn(&cells[2], || {
            yield_now();
            let below_the_guard = guard::bounds_of(2).guard().start;
            ways::jump_to(below_the_guard - 16_384, canary::yield_here);
        });
        upper.expect("free").detach();
        let lower = lower.expect("free");
        run_with_interrupts();
        let report = the_overflow("upper", Detector::StackPointer);
        let damaged = report.damaged.expect("the neighbour");
        assert_eq!((damaged.name, damaged.part), ("lower", Part::Stack));
        lower.try_join().expect("nothing that it needs was there");
    }

    /// The lowest of a pool: below its guard is memory of nobody that the scheduler knows.
    fn a_jump_over_the_guard_of_the_first_slot_is_named() {
        guard::prepare();
        SCHEDULER.spawn(&guard::POOL.stacks()[3], || { yield_now(); yield_now(); }).expect("free").detach();
        let fiber = SCHEDULER.builder().name("lowest").spawn(&guard::POOL.stacks()[0], || {
            let below_the_guard = guard::bounds_of(0).guard().start;
            ways::jump_to(below_the_guard - 256, canary::yield_here);
        });
        fiber.expect("free").detach();
        run_with_interrupts();
        assert!(the_overflow("lowest", Detector::StackPointer).damaged.is_none());
    }
}
