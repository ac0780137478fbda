//! Destructors: once each, at the right time, or never for what is leaked, which is said.

use core::sync::atomic::{AtomicUsize, Ordering};

use kfiber::{
    fiber::{Fiber, Resumed, leaked_stacks, on_leak},
    stack::{Stack, StackMemory, Storage},
};
use tests_qemu::kernel_test;

use super::stack;

static DROPPED: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];

/// Counts its drops under its number.
struct Counted(usize);

impl Drop for Counted {
    fn drop(&mut self) {
        DROPPED[self.0].fetch_add(1, Ordering::Relaxed);
    }
}

fn dropped() -> [usize; 4] {
    DROPPED
        .each_ref()
        .map(|count| count.load(Ordering::Relaxed))
}

kernel_test! {
    fn a_fiber_that_never_ran_drops_its_closure_and_gives_the_stack_back() {
        let captured = Counted(0);
        let stack = stack();
        let bounds = stack.bounds();
        let fiber = Fiber::<(), (), (), _>::new(stack, move |_, ()| drop(captured)).expect("a small closure");
        assert_eq!(dropped(), [0; 4]);
        let stack = fiber.into_stack().expect("it never ran");
        assert_eq!(dropped(), [1, 0, 0, 0]);
        assert_eq!(stack.bounds(), bounds);
        let captured = Counted(1);
        drop(Fiber::<(), (), (), _>::new(stack, move |_, ()| drop(captured)).expect("a small closure"));
        assert_eq!(dropped(), [1, 1, 0, 0]);
        assert_eq!(leaked_stacks(), 0);
    }

    fn a_fiber_that_returns_drops_everything_once_and_before_the_resumer_goes_on() {
        let captured = Counted(0);
        let mut fiber = Fiber::<Counted, Counted, Counted, _>::new(stack(), move |yielder, first| {
            let _captured = captured;
            let second = yielder.suspend(first);
            let _local = Counted(3);
            second
        })
        .expect("a small closure");
        let yielded = fiber.resume(Counted(1));
        assert_eq!(dropped(), [0; 4]);
        drop(yielded);
        assert_eq!(dropped(), [0, 1, 0, 0]);
        let returned = fiber.resume(Counted(2));
        assert_eq!(dropped(), [1, 1, 0, 1], "capture and local, but not the result");
        drop(returned);
        assert_eq!(dropped(), [1, 1, 1, 1]);
        drop(fiber);
        assert_eq!((dropped(), leaked_stacks()), ([1, 1, 1, 1], 0));
    }

    fn a_fiber_dropped_while_suspended_leaks_its_stack_and_says_so() {
        static STACK: Stack<{ 16 * 1024 }> = Stack::new();
        static TOLD: AtomicUsize = AtomicUsize::new(0);
        on_leak(|leak| TOLD.store(leak.stack.bottom().addr(), Ordering::Relaxed));
        let captured = Counted(0);
        let stack = STACK.take().expect("first use");
        let bounds = stack.bounds();
        let mut fiber = Fiber::<(), (), (), _>::new(stack, move |yielder, ()| {
            let _captured = captured;
            let _local = Counted(1);
            yielder.suspend(());
        })
        .expect("a small closure");
        let _ = fiber.resume(());
        let fiber = fiber.into_stack().expect_err("its frames are on the stack");
        drop(fiber);
        assert_eq!(dropped(), [0; 4], "what lies on the stack stays as it is");
        assert_eq!((leaked_stacks(), TOLD.load(Ordering::Relaxed)), (1, bounds.bottom().addr()));
        assert!(STACK.take().is_err(), "never used again");
    }

    fn a_value_given_to_a_finished_fiber_is_dropped_once() {
        let mut fiber = Fiber::<Counted, (), (), _>::new(stack(), |_, _| ()).expect("a small closure");
        assert!(fiber.try_resume(Counted(0)).is_ok());
        assert_eq!(dropped(), [1, 0, 0, 0]);
        let Err(returned) = fiber.try_resume(Counted(1)) else { panic!("it has finished") };
        assert_eq!(dropped(), [1, 0, 0, 0]);
        drop(returned);
        assert_eq!(dropped(), [1, 1, 0, 0]);
    }

    fn a_fiber_may_suspend_in_a_destructor() {
        struct Suspends<'a>(&'a kfiber::fiber::Yielder<u32, u32>);
        impl Drop for Suspends<'_> {
            fn drop(&mut self) {
                let answer = self.0.suspend(1);
                DROPPED[0].fetch_add(answer as usize, Ordering::Relaxed);
            }
        }
        let mut fiber = Fiber::<u32, u32, u32, _>::new(stack(), |yielder, _| {
            let _guard = Suspends(yielder);
            2
        })
        .expect("a small closure");
        assert_eq!(fiber.resume(0), Resumed::Yielded(1));
        assert_eq!(fiber.resume(5), Resumed::Returned(2));
        assert_eq!(dropped(), [5, 0, 0, 0]);
    }
}
