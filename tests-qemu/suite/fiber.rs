//! The asymmetric fiber on the bare machine: values, ends, nesting, interrupts, panics. (`tests` has the same on a host.)

mod closures;
mod drops;
mod interrupts;
mod nested;

use kfiber::{
    fiber::{Fiber, FiberFinished, Resumed},
    stack::{Stack, StackBounds, StackHandle, StackMemory, StackPool, Storage},
};
use tests_qemu::kernel_test;

const STACK_SIZE: usize = 128 * 1024; // a debug build copies what goes in and comes out many times
type DenseStack = StackHandle<Stack<STACK_SIZE>>;
static STACKS: StackPool<STACK_SIZE, 8> = StackPool::new();

fn stack() -> DenseStack {
    STACKS.take().expect("eight are enough")
}

kernel_test! {
    fn a_generator_yields_its_numbers_and_returns() {
        let mut fibonacci = Fiber::<(), u64, &str, _>::new(stack(), |yielder, ()| {
            let (mut a, mut b) = (0_u64, 1);
            while a < 1_000_000 {
                yielder.suspend(a);
                (a, b) = (b, a + b);
            }
            "a million is enough"
        })
        .expect("a small closure");
        let (mut count, mut last) = (0, 0);
        let end = loop {
            match fibonacci.resume(()) {
                Resumed::Yielded(number) => (count, last) = (count + 1, number),
                Resumed::Returned(words) => break words,
            }
        };
        assert_eq!((count, last, end), (31, 832_040, "a million is enough"));
        assert!(fibonacci.is_finished());
    }

    /// In a register up to a word, by address above it: both ways, and at the end.
    fn values_of_every_size_go_in_and_come_out() {
        fn check<T: Copy + PartialEq + core::fmt::Debug + 'static>(values: [T; 3]) {
            let mut echo = Fiber::<T, T, T, _>::new(stack(), |yielder, first| {
                let second = yielder.suspend(first);
                yielder.suspend(second)
            })
            .expect("a small closure");
            assert_eq!(echo.resume(values[0]), Resumed::Yielded(values[0]));
            assert_eq!(echo.resume(values[1]), Resumed::Yielded(values[1]));
            assert_eq!(echo.resume(values[2]), Resumed::Returned(values[2]));
        }
        check([(), (), ()]);
        check([1_u8, 2, 255]);
        check([true, false, true]);
        check([Some(1_u16), None, Some(u16::MAX)]);
        check(['a', 'ß', '\u{10ffff}']);
        check([u64::MAX, 0, 1 << 63]);
        check([Some(&1_u8), None, Some(&3)]);
        check([(1_u8, u64::MAX), (2, 0), (3, 1)]);
        check([u128::MAX, 1, 1 << 127]);
        check([[1_u64; 100], [2; 100], [u64::MAX; 100]]);
        check([[1_u8; 4001], [2; 4001], [3; 4001]]);
    }

    fn a_finished_fiber_gives_the_value_back() {
        let mut fiber = Fiber::<u32, (), u32, _>::new(stack(), |_, value| value).expect("a small closure");
        assert_eq!(fiber.resume(7), Resumed::Returned(7));
        assert_eq!(fiber.try_resume(8), Err(FiberFinished(8)));
        assert_eq!(fiber.try_resume(9), Err(FiberFinished(9)));
    }

    fn resuming_a_finished_fiber_panics() panics("resumed a fiber that has finished") {
        let mut fiber = Fiber::<(), (), (), _>::new(stack(), |_, ()| ()).expect("a small closure");
        let _ = fiber.resume(());
        let _ = fiber.resume(());
    }

    /// The first panic ends the run, so that a second message could not follow unnoticed: see the harness.
    fn a_panic_within_a_fiber_is_reported_once_with_its_message() panics("fiber 3 has had enough of 42") {
        let mut fiber = Fiber::<u32, (), (), _>::new(stack(), |yielder, mut number| {
            for _ in 0..3 {
                number = yielder.suspend(());
            }
            panic!("fiber 3 has had enough of {number}");
        })
        .expect("a small closure");
        for _ in 0..3 {
            let _ = fiber.resume(1);
        }
        let _ = fiber.resume(42);
    }

    /// One static, one fiber after the other; none sees what the one before left behind.
    fn a_stack_is_used_again_a_hundred_thousand_times() {
        static STACK: Stack<8192> = Stack::new();
        let mut stack = STACK.take().expect("first use");
        let bounds: StackBounds = stack.bounds();
        for round in 0..100_000_u64 {
            let captured = [round; 4];
            let mut fiber = Fiber::<u64, u64, u64, _>::new(stack, move |yielder, value| {
                value + yielder.suspend(captured[3]) + captured[0]
            })
            .expect("a small closure");
            assert_eq!(fiber.resume(1), Resumed::Yielded(round));
            assert_eq!(fiber.resume(2), Resumed::Returned(round + 3));
            stack = fiber.into_stack().expect("it has finished");
        }
        assert_eq!(stack.bounds(), bounds);
        assert!(stack.is_canary_intact());
        assert!(stack.usage().used_bytes < 8192, "{:?}", stack.usage());
    }
}
