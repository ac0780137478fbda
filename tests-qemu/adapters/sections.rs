//! Critical sections on the processor's own interrupt flag.

use core::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};

use critical_section::Mutex;
use kfiber::scheduler::{FatalReason, yield_now};
use tests_qemu::{
    interrupts::{on_tick, start_timer, stop_timer},
    kernel_test,
};
use x86_64::instructions::interrupts::{self, are_enabled};

use crate::world::{contain, expect_fatal, run_all, spawn};

critical_section::set_impl!(kfiber_critical_section::InterruptsOff);

kernel_test! {
    /// The example: a counter that an interrupt handler and fibers share.
    fn no_interrupt_comes_between_the_read_and_the_write_of_a_section() icount {
        static COUNT: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));
        static TICKS: AtomicU64 = AtomicU64::new(0);
        fn increment() {
            critical_section::with(|section| {
                let count = COUNT.borrow(section);
                let before = count.get();
                core::hint::spin_loop();
                count.set(before + 1);
            });
        }
        on_tick(|_| {
            TICKS.fetch_add(1, Ordering::Relaxed);
            increment();
        });
        start_timer(1_511);
        interrupts::enable();
        for _ in 0..20_000 {
            increment();
        }
        interrupts::disable();
        stop_timer();
        let ticks = TICKS.load(Ordering::Relaxed);
        assert!(ticks > 100, "{ticks}");
        assert_eq!(critical_section::with(|section| COUNT.borrow(section).get()), 20_000 + ticks);
    }

    fn interrupts_are_as_before_after_the_outermost_section() {
        for enabled in [false, true] {
            if enabled {
                interrupts::enable();
            }
            critical_section::with(|_| {
                assert!(!are_enabled());
                critical_section::with(|_| assert!(!are_enabled()));
                assert!(!are_enabled(), "the outer section goes on");
            });
            assert_eq!(are_enabled(), enabled);
        }
        interrupts::disable();
    }

    fn a_fiber_that_waits_in_a_section_ends_the_kernel() {
        contain();
        expect_fatal(FatalReason::InterruptsOff);
        spawn("waits", || critical_section::with(|_| yield_now())).detach();
        run_all();
        panic!("it did not");
    }

    fn the_message_says_that_a_critical_section_forbids_the_wait() panics("kfiber-critical-section/src/section.rs") {
        spawn("waits", || critical_section::with(|_| yield_now())).detach();
        run_all();
    }

    fn a_panic_in_a_section_ends_the_kernel() {
        contain();
        expect_fatal(FatalReason::InterruptsOff);
        spawn("panics", || critical_section::with(|_| panic!("by plan"))).detach();
        run_all();
        panic!("it did not");
    }
}
