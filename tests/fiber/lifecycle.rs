//! Every destructor runs exactly once, and every stack comes back when it may.

use super::{Counted, counted, stack};
use core::cell::RefCell;
use core::panic::AssertUnwindSafe;
use kfiber::fiber::{Fiber, Resumed};
use kfiber::stack::{Stack, StackMemory, StackPool, Storage};
use std::panic::catch_unwind;
use std::rc::Rc;

#[test]
fn a_fiber_that_never_ran_drops_its_closure_once() {
    let (value, drops) = counted();
    let fiber = Fiber::<(), (), (), _>::new(stack(), move |_, ()| drop(value)).expect("fits");
    assert_eq!(drops.get(), 0);
    drop(fiber);
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_fiber_that_returned_dropped_its_closure_once_by_running() {
    let (value, drops) = counted();
    let mut fiber = Fiber::<(), (), _, _>::new(stack(), move |_: &_, ()| {
        let _captured = &value;
    })
    .expect("fits");
    assert_eq!(fiber.resume(()), Resumed::Returned(()));
    assert_eq!(drops.get(), 1, "when it returned");
    drop(fiber);
    assert_eq!(drops.get(), 1, "and not again");
}

#[test]
fn a_closure_that_returned_without_ever_suspending_is_not_dropped_again_by_into_stack() {
    let (value, drops) = counted();
    let mut fiber =
        Fiber::<(), (), _, _>::new(stack(), move |_: &_, ()| drop(value)).expect("fits");
    assert_eq!(fiber.resume(()), Resumed::Returned(()));
    let _stack = fiber.into_stack().expect("finished");
    assert_eq!(drops.get(), 1);
}

#[test]
fn locals_of_a_fiber_are_dropped_once_when_it_returns() {
    let (value, drops) = counted();
    let mut fiber = Fiber::<_, (), (), _>::new(stack(), |yielder, value: Counted| {
        let local = value;
        drop(yielder.suspend(()));
        drop(local);
    })
    .expect("fits");
    assert_eq!(fiber.resume(value), Resumed::Yielded(()));
    assert_eq!(drops.get(), 0);
    let (second, second_drops) = counted();
    assert_eq!(fiber.resume(second), Resumed::Returned(()));
    drop(fiber);
    assert_eq!((drops.get(), second_drops.get()), (1, 1));
}

#[test]
fn values_that_cross_are_dropped_once_by_whoever_gets_them() {
    // The large one crosses by address, the small one in the register.
    fn check<const N: usize>() {
        let drops = Rc::new(core::cell::Cell::new(0));
        let make = {
            let drops = Rc::clone(&drops);
            move || (Counted(Rc::clone(&drops)), [1_u8; N])
        };
        let made = make.clone();
        let mut fiber = Fiber::new(stack(), move |yielder, first: (Counted, [u8; N])| {
            drop(first);
            drop(yielder.suspend(made()));
            made()
        })
        .expect("fits");
        let Resumed::Yielded(yielded) = fiber.resume(make()) else {
            panic!("returned")
        };
        assert_eq!(drops.get(), 1, "the first went in");
        drop(yielded);
        assert_eq!(drops.get(), 2, "the yielded one came out");
        let Resumed::Returned(result) = fiber.resume(make()) else {
            panic!("yielded")
        };
        assert_eq!(drops.get(), 3, "the second went in");
        drop(fiber);
        assert_eq!(drops.get(), 3, "the fiber has nothing left to drop");
        drop(result);
        assert_eq!(drops.get(), 4, "the result was the resumer's");
    }
    check::<0>();
    check::<64>();
}

#[test]
fn each_way_to_end_a_fiber_gives_the_stack_back() {
    static STACK: Stack<{ 16 * 1024 }> = Stack::new();
    type OnStack = Fiber<(), (), (), kfiber::stack::StackHandle<Stack<{ 16 * 1024 }>>>;
    let make = || OnStack::new(STACK.take().expect("given back"), |_, ()| ()).expect("fits");
    drop(make());
    drop(make().into_stack());
    let mut finished = make();
    let _ = finished.resume(());
    assert!(
        STACK.take().is_err(),
        "still the fiber's, until it is dropped"
    );
    drop(finished);
    let mut finished = make();
    let _ = finished.resume(());
    drop(finished.into_stack().expect("finished"));
    assert!(STACK.take().is_ok());
}

#[test]
fn into_stack_of_a_new_fiber_drops_the_closure() {
    let (value, drops) = counted();
    let fiber = Fiber::<(), (), (), _>::new(stack(), move |_, ()| drop(value)).expect("fits");
    let stack = fiber.into_stack().expect("never ran");
    assert_eq!(drops.get(), 1);
    assert!(stack.is_canary_intact());
}

#[test]
fn into_stack_of_a_suspended_fiber_gives_the_fiber_back_unharmed() {
    let (value, drops) = counted();
    let mut fiber = Fiber::<u8, u8, (), _>::new(stack(), move |yielder, mut number| {
        while number != 0 {
            number = yielder.suspend(number * 2);
        }
        drop(value);
    })
    .expect("fits");
    for number in [3, 4] {
        assert_eq!(fiber.resume(number), Resumed::Yielded(number * 2));
        fiber = fiber.into_stack().expect_err("suspended");
    }
    assert_eq!(drops.get(), 0);
    assert_eq!(fiber.resume(0), Resumed::Returned(()));
    assert!(fiber.into_stack().is_ok());
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_stack_can_be_used_again_at_once_a_hundred_thousand_times() {
    const ROUNDS: u32 = if cfg!(any(miri, kfiber_threads)) {
        30
    } else {
        100_000
    };
    static STACK: Stack<{ 16 * 1024 }> = Stack::new();
    let mut stack = STACK.take().expect("first");
    for round in 0..ROUNDS {
        let mut fiber = Fiber::new(stack, move |yielder, number: u32| {
            yielder.suspend(number + round);
            round
        })
        .expect("fits");
        assert_eq!(fiber.resume(1), Resumed::Yielded(round + 1));
        assert_eq!(fiber.resume(0), Resumed::Returned(round));
        stack = fiber.into_stack().expect("finished");
    }
    assert!(stack.is_canary_intact());
}

#[test]
fn a_pool_feeds_fibers_of_different_kinds_in_turn() {
    const ROUNDS: usize = if cfg!(any(miri, kfiber_threads)) {
        5
    } else {
        2_000
    };
    static POOL: StackPool<{ 16 * 1024 }, 3> = StackPool::new();
    for round in 0..ROUNDS {
        let mut adds = Fiber::new(POOL.take().expect("free"), |yielder, n: usize| {
            yielder.suspend(n + 1)
        })
        .expect("fits");
        let mut pairs = Fiber::new(
            POOL.take().expect("free"),
            |_: &kfiber::fiber::Yielder<_, ()>, pair: [usize; 3]| pair.map(|n| n * 2),
        )
        .expect("fits");
        assert_eq!(adds.resume(round), Resumed::Yielded(round + 1));
        assert_eq!(pairs.resume([round; 3]), Resumed::Returned([round * 2; 3]));
        assert_eq!(adds.resume(7), Resumed::Returned(7));
    }
}

#[test]
fn destructors_of_captured_values_run_in_order_and_may_use_the_stack_of_the_dropper() {
    struct Note(&'static str, Rc<RefCell<Vec<&'static str>>>);
    impl Drop for Note {
        fn drop(&mut self) {
            self.1.borrow_mut().push(self.0);
        }
    }
    let notes = Rc::new(RefCell::new(Vec::new()));
    let pair = (
        Note("first", Rc::clone(&notes)),
        Note("second", Rc::clone(&notes)),
    );
    drop(Fiber::<(), (), (), _>::new(stack(), move |_, ()| drop(pair)).expect("fits"));
    assert_eq!(*notes.borrow(), ["first", "second"]);
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("bomb");
    }
}

#[test]
fn a_closure_whose_destructor_panics_still_gives_the_stack_back() {
    static STACK: Stack<{ 16 * 1024 }> = Stack::new();
    type Armed = Fiber<(), (), (), kfiber::stack::StackHandle<Stack<{ 16 * 1024 }>>>;
    let ways: [fn(Armed); 2] = [drop, |fiber| drop(fiber.into_stack())];
    for consume in ways {
        let bomb = Bomb;
        let fiber = Fiber::new(STACK.take().expect("given back"), move |_: &_, ()| {
            drop(bomb);
        })
        .expect("fits");
        assert!(catch_unwind(AssertUnwindSafe(|| consume(fiber))).is_err());
        assert!(STACK.take().is_ok(), "given back by the unwinding");
    }
}

#[test]
#[cfg(all(debug_assertions, not(miri)))]
#[cfg_attr(
    kfiber_threads,
    ignore = "the flag stays behind in the fiber's own thread"
)]
fn a_fiber_that_ended_with_a_broken_flag_rule_does_not_drop_its_closure_again() {
    let (value, drops) = counted();
    let mut fiber = Fiber::<(), (), (), _>::new(stack(), move |_, ()| {
        drop(value);
        // SAFETY: deliberately not sound for long: the resumer's check is meant to find it, and clears it.
        unsafe { core::arch::asm!("std", options(nomem, nostack)) };
    })
    .expect("fits");
    let panic = catch_unwind(AssertUnwindSafe(|| fiber.resume(()))).expect_err("checked");
    let message = panic.downcast_ref::<&str>().expect("a plain message");
    assert!(message.contains("direction flag"), "{message}");
    assert!(fiber.is_finished(), "it did return");
    drop(fiber);
    assert_eq!(drops.get(), 1);
}
