//! Fibers that resume fibers.

use kfiber::{
    fiber::{Fiber, Resumed},
    stack::{Stack, StackBounds, StackHandle, StackMemory, StackPool},
};
use tests_qemu::kernel_test;

const DEPTH: usize = 50;
const STACK_SIZE: usize = 16 * 1024;
static STACKS: StackPool<STACK_SIZE, DEPTH> = StackPool::new();

type Nested = Fiber<usize, usize, usize, StackHandle<Stack<STACK_SIZE>>>;

/// Runs `depth` fibers, each from within the one before, while that one runs.
fn nest(depth: usize) -> usize {
    let stack = STACKS.take().expect("one for each level");
    let bounds: StackBounds = stack.bounds();
    let mut fiber: Nested = Fiber::new(stack, move |yielder, first| {
        let local = depth;
        assert!(bounds.contains((&raw const local).addr()));
        let below = if depth > 1 { nest(depth - 1) } else { 0 };
        let second = yielder.suspend(depth);
        first + second + below + local
    })
    .expect("a small closure");
    assert_eq!(fiber.resume(1), Resumed::Yielded(depth));
    match fiber.resume(2) {
        Resumed::Returned(sum) => sum,
        Resumed::Yielded(_) => panic!("it yields once"),
    }
}

/// A fiber that owns and resumes the next one, which is suspended in between, and so on.
fn chain(depth: usize) -> Nested {
    let stack = STACKS.take().expect("one for each level");
    Fiber::new(stack, move |yielder, mut value| {
        let mut inner = (depth > 1).then(|| chain(depth - 1));
        while value != 0 {
            let answer = match &mut inner {
                Some(inner) => match inner.resume(value + 1) {
                    Resumed::Yielded(answer) | Resumed::Returned(answer) => answer + 1,
                },
                None => value * 1000,
            };
            value = yielder.suspend(answer);
        }
        // The end goes through all of them too.
        match inner.map(|mut inner| inner.resume(0)) {
            Some(Resumed::Returned(count)) => count + 1,
            Some(Resumed::Yielded(_)) => panic!("a zero ends it"),
            None => 1,
        }
    })
    .expect("a small closure")
}

kernel_test! {
    fn fibers_nest_to_a_depth_of_fifty() {
        for _ in 0..3 {
            assert_eq!(nest(DEPTH), (1..=DEPTH).sum::<usize>() + DEPTH * 3);
        }
    }

    fn a_value_travels_through_fifty_suspended_fibers_and_back() {
        let mut outermost = chain(DEPTH);
        for value in 1..20 {
            let expected = (value + DEPTH - 1) * 1000 + DEPTH - 1;
            assert_eq!(outermost.resume(value), Resumed::Yielded(expected));
        }
        assert_eq!(outermost.resume(0), Resumed::Returned(DEPTH));
        assert_eq!(kfiber::fiber::leaked_stacks(), 0);
        drop(outermost);
        let all: [_; DEPTH] = core::array::from_fn(|_| STACKS.take().expect("all came back"));
        drop(all);
    }
}
