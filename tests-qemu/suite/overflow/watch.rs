//! Without paging: a debug register watches the canary of the fiber that runs.

use kfiber::{
    scheduler::{
        overflow::{Detector, watch},
        yield_now,
    },
    stack::FLOOR_BYTES,
};
use tests_qemu::{
    interrupts::{on_tick, start_one_shot},
    kernel_test,
};
use x86_64::registers::debug::{DebugAddressRegister, Dr1, Dr7, Dr7Flags};

use super::{canary, count, overflow, the_overflow, watch_out, ways};
use crate::scheduler::{SCHEDULER, run_with_interrupts};

fn prepare() {
    watch_out();
    SCHEDULER.platform().set_hook(watch::on_switch::<1>);
}

/// Has the fiber in this slot overflow, with neighbours in the others.
fn overflow_in(slot: usize, closure: impl FnOnce() + Send + 'static) {
    prepare();
    let others =
        [0, 1, 2, 3, 4].map(|other| (other != slot).then(|| canary::spawn_neighbour(other)));
    canary::spawn(slot, move || {
        yield_now();
        closure();
        unreachable!("the overflow was not noticed");
    })
    .detach();
    run_with_interrupts();
    for other in others.into_iter().flatten() {
        other.try_join().expect("the others went on");
    }
    let report = the_overflow(canary::NAMES[slot], Detector::Watchpoint);
    assert_eq!(report.stack, canary::bounds_of(slot));
}

kernel_test! {
    fn an_overflow_in_the_first_slot_is_noticed_by_the_watchpoint() {
        overflow_in(0, || { ways::push_for_ever(); });
    }

    fn an_overflow_in_a_middle_slot_is_noticed_by_the_watchpoint() {
        overflow_in(2, || { ways::push_for_ever(); });
        assert_eq!(overflow(0).below_bytes(), 0, "it was stopped in time");
    }

    fn an_overflow_in_the_last_slot_is_noticed_by_the_watchpoint() {
        overflow_in(4, || { ways::push_for_ever(); });
    }

    fn one_byte_too_far_is_noticed_by_the_watchpoint() {
        let limit = canary::bounds_of(2).bottom().addr() + FLOOR_BYTES;
        overflow_in(2, move || ways::write_byte(limit - 1, 1));
        assert!(overflow(0).damaged.is_none(), "it was stopped in time");
    }

    fn an_interrupt_handler_that_overflows_is_noticed_by_the_watchpoint() {
        on_tick(|_| { ways::push_for_ever(); });
        overflow_in(3, || {
            start_one_shot(1_000);
            loop {
                core::hint::spin_loop();
            }
        });
        assert!(overflow(0).with_interrupts_off, "it was in a handler");
    }

    fn all_slots_overflow_and_the_watchpoint_names_each() {
        prepare();
        for slot in 0..canary::CELLS {
            canary::spawn(slot, || { yield_now(); ways::push_for_ever(); }).detach();
        }
        run_with_interrupts();
        assert_eq!(count(), canary::CELLS as u64);
        for slot in 0..canary::CELLS {
            assert_eq!((overflow(slot).name, overflow(slot).detector), (canary::NAMES[slot], Detector::Watchpoint));
        }
    }

    /// It is on while fibers run, off outside, and the other registers are left alone.
    fn the_watchpoint_follows_the_running_fiber_and_is_off_outside() {
        prepare();
        let before = Dr7::read().flags();
        for slot in 0..canary::CELLS {
            canary::spawn(slot, move || {
                for _ in 0..3 {
                    assert_eq!(Dr1::read(), canary::bounds_of(slot).bottom().addr() as u64 + 8);
                    assert_eq!(Dr7::read().flags() - before, Dr7Flags::GLOBAL_BREAKPOINT_1_ENABLE);
                    yield_now();
                }
            })
            .detach();
        }
        run_with_interrupts();
        assert_eq!(Dr7::read().flags(), before);
        assert_eq!(count(), 0);
    }
}
