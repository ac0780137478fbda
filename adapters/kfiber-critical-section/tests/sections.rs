//! Critical sections on the host, where threads are the cores.
#![expect(clippy::unwrap_used, reason = "a test says what failed by its line")]

use core::cell::{Cell, RefCell};
use core::panic::AssertUnwindSafe;
use core::sync::atomic::{AtomicBool, Ordering};
use critical_section::Mutex;
use kfiber::platform::Host;
use kfiber::scheduler::{self, FiberPool, Scheduler};
use std::panic::catch_unwind;
use std::thread;

critical_section::set_impl!(kfiber_critical_section::InterruptsOff);

fn may_wait() -> bool {
    catch_unwind(scheduler::yield_now).is_ok()
}

#[test]
fn a_fiber_cannot_wait_in_a_section_however_deep_and_can_afterwards() {
    static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
    static CELLS: FiberPool<65536, 2> = FiberPool::new();
    let fiber = SCHEDULER.spawn(&CELLS, || {
        assert!(may_wait());
        critical_section::with(|_| {
            assert!(!may_wait());
            critical_section::with(|_| assert!(!may_wait()));
            assert!(!may_wait(), "the outer section goes on");
        });
        assert!(may_wait());
        Host::interrupt(|| critical_section::with(|_| ()));
        assert!(may_wait());
    });
    SCHEDULER.run();
    fiber.unwrap().try_join().unwrap();
}

#[test]
fn the_panic_of_a_wait_in_a_section_says_who_forbids_it() {
    static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
    static CELLS: FiberPool<65536, 2> = FiberPool::new();
    let fiber = SCHEDULER.spawn(&CELLS, || {
        let waits = || critical_section::with(|_| scheduler::yield_now());
        let payload = catch_unwind(AssertUnwindSafe(waits)).unwrap_err();
        assert!(may_wait(), "unwinding left the section");
        payload.downcast_ref::<String>().unwrap().clone()
    });
    SCHEDULER.run();
    let message = fiber.unwrap().try_join().unwrap();
    assert!(message.contains("waiting with interrupts off"), "{message}");
    assert!(
        message.contains("kfiber-critical-section/src/section.rs"),
        "{message}"
    );
}

#[test]
fn no_other_core_is_in_a_section_meanwhile() {
    static VALUE: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));
    static IS_INSIDE: AtomicBool = AtomicBool::new(false);
    const ROUNDS: u64 = 5_000;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    critical_section::with(|section| {
                        assert!(!IS_INSIDE.swap(true, Ordering::Relaxed));
                        let value = VALUE.borrow(section);
                        let before = value.get();
                        if round % 64 == 0 {
                            thread::yield_now();
                        }
                        critical_section::with(|section| VALUE.borrow(section).set(before + 1));
                        assert!(IS_INSIDE.swap(false, Ordering::Relaxed));
                    });
                }
            });
        }
    });
    let sum = critical_section::with(|section| VALUE.borrow(section).get());
    assert_eq!(sum, 4 * ROUNDS);
}

#[test]
fn an_interrupt_that_comes_between_sections_finds_none() {
    static LIST: Mutex<RefCell<Vec<u32>>> = Mutex::new(RefCell::new(Vec::new()));
    let push = |number| {
        critical_section::with(|section| LIST.borrow_ref_mut(section).push(number));
    };
    push(1);
    Host::interrupt(|| push(2));
    push(3);
    let list = critical_section::with(|section| LIST.borrow_ref(section).clone());
    assert_eq!(list, [1, 2, 3]);
}
