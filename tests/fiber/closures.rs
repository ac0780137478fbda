//! Closures of every size and alignment lie on the fiber's own stack, and begin with an aligned one.

use super::{fresh, stack};
use kfiber::context::ControlBlock;
use kfiber::fiber::{Fiber, Resumed};
use kfiber::stack::{ForeignStack, GuardedStack, Stack, StackMemory, StackPool, Storage};

#[test]
fn a_closure_that_captures_nothing_runs() {
    fn named(_: &kfiber::fiber::Yielder<u8, ()>, number: u8) -> u8 {
        number + 1
    }
    let mut fiber = Fiber::new(stack(), named).expect("fits");
    assert_eq!(fiber.resume(1), Resumed::Returned(2));
    let mut fiber = Fiber::<(), (), (), _>::new(stack(), |_, ()| ()).expect("fits");
    assert_eq!(fiber.resume(()), Resumed::Returned(()));
}

#[test]
fn a_boxed_closure_runs() {
    type Body = Box<dyn FnOnce(&kfiber::fiber::Yielder<(), u8>, ()) -> String>;
    let text = String::from("owned");
    let body: Body = Box::new(move |yielder, ()| {
        yielder.suspend(1);
        text
    });
    let mut fiber = Fiber::new(stack(), body).expect("fits");
    assert_eq!(fiber.resume(()), Resumed::Yielded(1));
    assert_eq!(fiber.resume(()), Resumed::Returned("owned".into()));
}

#[test]
fn what_a_closure_captured_is_intact_after_the_fiber_moved() {
    fn check<const N: usize>() {
        let bytes: [u8; N] = core::array::from_fn(|index| index.to_le_bytes()[0]);
        let stack = fresh::<Stack<{ 256 * 1024 }>>();
        let mut fiber = Fiber::new(stack, move |yielder, ()| {
            yielder.suspend(bytes.len());
            bytes
        })
        .expect("fits");
        assert_eq!(fiber.resume(()), Resumed::Yielded(N));
        // The fiber is a value like others: only its stack stays where it is.
        let mut moved = Box::new(Some(fiber));
        let fiber = moved.as_mut().as_mut().expect("there");
        assert_eq!(fiber.resume(()), Resumed::Returned(bytes));
    }
    check::<0>();
    check::<1>();
    check::<15>();
    check::<16>();
    check::<17>();
    check::<1000>();
    check::<8192>();
}

/// Where the stack pointer is when a function is entered.
#[cfg(not(miri))]
#[unsafe(naked)]
unsafe extern "sysv64" fn stack_pointer_at_entry() -> usize {
    core::arch::naked_asm!("mov rax, rsp", "ret")
}

#[cfg(not(miri))]
#[test]
#[cfg_attr(kfiber_threads, ignore = "threads have stacks of their own")]
fn calls_inside_a_fiber_are_aligned_whatever_the_closure_and_the_stack() {
    fn check<T: 'static>(stack: impl StackMemory, captured: T) {
        let bounds = stack.bounds();
        let closure = move |_: &_, ()| {
            // SAFETY: it only reads a register.
            let entered = unsafe { stack_pointer_at_entry() };
            drop(captured);
            entered
        };
        let mut fiber = Fiber::<(), (), _, _>::new(stack, closure).expect("fits");
        let Resumed::Returned(entered) = fiber.resume(()) else {
            unreachable!("never suspends")
        };
        assert_eq!(entered % 16, 8, "{} captured", size_of::<T>());
        assert!(
            bounds.contains(entered),
            "the closure runs on the stack it was given"
        );
    }
    #[repr(align(256))]
    #[derive(Clone, Copy)]
    struct Aligned {
        _bytes: [u8; 300],
    }
    fn check_all<S: StackMemory>(stack: impl Fn() -> S) {
        check(stack(), ());
        check(stack(), 1_u8);
        check(stack(), [1_u8; 17]);
        check(stack(), [1_u64; 3]);
        check(stack(), [1_u128; 5]);
        check(stack(), Aligned { _bytes: [0; 300] });
    }
    check_all(stack);
    check_all(fresh::<Stack<{ 8192 + 128 }>>);
    check_all(fresh::<GuardedStack<{ 16 * 1024 }>>);
    check_all(|| foreign::<16384>(16));
    check_all(|| foreign::<16384>(0));
}

/// Checks where it lies when it is dropped.
macro_rules! checked_where_dropped {
    ($($name:ident = $align:literal),*) => { $(
        #[repr(align($align))]
        struct $name;
        impl Drop for $name {
            fn drop(&mut self) {
                // Hidden from the compiler, which takes for granted that it is aligned.
                let address = core::hint::black_box(core::ptr::from_mut(self)).addr();
                assert!(address.is_multiple_of($align), "{address:#x} is not aligned to {}", $align);
            }
        }
    )* };
}

checked_where_dropped!(A64 = 64, A128 = 128, A1024 = 1024, A4096 = 4096);

#[test]
fn a_closure_lies_aligned_below_every_top_that_a_stack_can_have() {
    /// The closure of a fiber that never runs is dropped where it lies.
    fn check<T: 'static>(stack: impl StackMemory, captured: T) {
        let closure = move |_: &_, ()| drop(captured);
        drop(Fiber::<(), (), _, _>::new(stack, closure).expect("fits"));
    }
    // Neighbours, whose tops are an odd number of lines apart: no alignment beyond a line is by chance.
    static POOL: StackPool<{ 32 * 1024 }, 5> = StackPool::new();
    for stack in POOL.stacks() {
        check(stack.take().expect("free"), A64);
        check(stack.take().expect("free"), A128);
        check(stack.take().expect("free"), A1024);
        check(stack.take().expect("free"), A4096);
    }
}

/// A stack in leaked memory that begins `offset` bytes after a 64-byte boundary.
fn foreign<const N: usize>(offset: usize) -> ForeignStack {
    let memory = Box::into_raw(Box::new(Stack::<N>::new()));
    // SAFETY: leaked, and nobody else knows of it.
    unsafe { ForeignStack::new(memory.cast::<u8>().wrapping_add(offset), N - offset, 0) }
        .expect("well formed")
}

#[test]
fn the_control_block_is_at_the_top_of_every_kind_of_stack() {
    fn check(stack: impl StackMemory) {
        let bounds = stack.bounds();
        let fiber = Fiber::<(), (), (), _>::new(stack, |_, ()| ()).expect("fits");
        assert_eq!(fiber.stack_bounds(), bounds);
        let block = fiber.control_block();
        assert_eq!(block.wrapping_add(1).addr(), bounds.top().addr());
        assert!(block.addr().is_multiple_of(align_of::<ControlBlock>()));
        assert!(fiber.is_canary_intact());
    }
    check(stack());
    check(fresh::<GuardedStack<8192>>());
    check(foreign::<4096>(48));
}

#[test]
fn a_new_fiber_uses_no_more_of_its_stack_than_closure_and_block_take() {
    let mut stack = fresh::<Stack<4096>>();
    stack.paint();
    let fiber = Fiber::<(), (), _, _>::new(stack, {
        let captured = [0x77_u8; 640];
        move |_: &_, ()| captured[0]
    })
    .expect("fits");
    let used = fiber.stack_usage().used_bytes;
    assert_eq!(used, 640 + size_of::<ControlBlock>());
}

#[test]
#[cfg_attr(any(miri, kfiber_threads), ignore = "threads have stacks of their own")]
fn usage_grows_with_the_depth_of_the_calls() {
    #[inline(never)]
    fn descend(depth: usize) -> usize {
        let here = core::hint::black_box([depth; 16]);
        if depth == 0 {
            0
        } else {
            descend(depth - 1) + here[15] - depth + 1
        }
    }
    let mut fiber = Fiber::<usize, usize, (), _>::new(stack(), |yielder, mut depth| {
        loop {
            depth = yielder.suspend(descend(depth));
        }
    })
    .expect("fits");
    let mut last = 0;
    for depth in [1, 20, 40, 80] {
        assert_eq!(fiber.resume(depth), Resumed::Yielded(depth));
        let used = fiber.stack_usage().used_bytes;
        assert!(
            used >= last + 128,
            "{used} bytes at depth {depth}, {last} before"
        );
        last = used;
    }
    assert_eq!(fiber.resume(1), Resumed::Yielded(1));
    assert_eq!(
        fiber.stack_usage().used_bytes,
        last,
        "a high-water mark does not fall"
    );
    assert!(fiber.is_canary_intact());
}
