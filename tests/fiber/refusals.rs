//! What a fiber refuses, and what it gives back when it does.

use super::{counted, stack};
use core::panic::AssertUnwindSafe;
use kfiber::context::ControlBlock;
use kfiber::fiber::{Fiber, FiberFinished, NewFiberErrorKind, Resumed, Yielder};
use kfiber::stack::{FLOOR_BYTES, ForeignStack, Stack, StackMemory};
use std::panic::catch_unwind;

#[test]
fn try_resume_after_the_end_gives_the_value_back() {
    let mut fiber = Fiber::<String, (), (), _>::new(stack(), |_, _| ()).expect("fits");
    assert!(!fiber.is_finished());
    assert_eq!(fiber.try_resume("one".into()), Ok(Resumed::Returned(())));
    assert!(fiber.is_finished());
    for text in ["two", "three"] {
        assert_eq!(
            fiber.try_resume(text.into()),
            Err(FiberFinished(text.into()))
        );
    }
}

#[test]
fn try_resume_does_what_resume_does_while_the_fiber_lives() {
    let mut fiber =
        Fiber::<u8, u8, u8, _>::new(stack(), |yielder, n| yielder.suspend(n + 1)).expect("fits");
    assert_eq!(fiber.try_resume(1), Ok(Resumed::Yielded(2)));
    assert!(!fiber.is_finished());
    assert_eq!(fiber.try_resume(9), Ok(Resumed::Returned(9)));
}

#[test]
fn resume_after_the_end_panics_where_it_was_called_and_drops_the_value() {
    let mut fiber = Fiber::<_, (), (), _>::new(stack(), |_, value| drop::<super::Counted>(value))
        .expect("fits");
    let (value, _) = counted();
    assert_eq!(fiber.resume(value), Resumed::Returned(()));
    let (value, drops) = counted();
    let panic = catch_unwind(AssertUnwindSafe(|| fiber.resume(value))).expect_err("finished");
    let message = panic.downcast_ref::<&str>().expect("a plain message");
    assert_eq!(
        *message,
        "resumed a fiber that has finished: ask `is_finished`, or use `try_resume`"
    );
    assert_eq!(drops.get(), 1);
}

/// A stack of `size` bytes in leaked memory.
fn foreign(size: usize) -> ForeignStack {
    let memory = Box::into_raw(Box::new(Stack::<{ 64 * 1024 }>::new()));
    // SAFETY: leaked, and nobody else knows of it.
    unsafe { ForeignStack::new(memory.cast(), size, 0) }.expect("well formed")
}

#[test]
fn a_closure_too_large_for_a_foreign_stack_comes_back_with_the_stack_and_is_not_dropped() {
    let (value, drops) = counted();
    let stack = foreign(1024);
    let bounds = stack.bounds();
    let bytes = [0x5a_u8; 1000];
    let error =
        Fiber::<(), (), _, _>::new(stack, move |_: &_, ()| (value, bytes)).expect_err("too large");
    assert_eq!(drops.get(), 0);
    assert_eq!(error.stack.bounds(), bounds);
    let NewFiberErrorKind::StackTooSmall {
        needed_bytes,
        size_bytes,
    } = error.kind
    else {
        panic!("{:?}", error.kind)
    };
    assert_eq!(size_bytes, 1024);
    assert!(needed_bytes > 2000, "{needed_bytes}: the closure twice");
    assert!(
        error.stack.is_canary_intact() && error.stack.usage().used_bytes == 0,
        "not touched"
    );
    // The closure still works, elsewhere.
    let mut fiber = Fiber::<(), (), _, _>::new(super::stack(), error.closure).expect("fits");
    let Resumed::Returned((value, bytes)) = fiber.resume(()) else {
        panic!("yielded")
    };
    assert_eq!(bytes, [0x5a; 1000]);
    drop(value);
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_stack_of_exactly_the_needed_size_is_accepted_and_one_line_less_is_not() {
    fn needed<I: 'static, R: 'static, F>(make: fn() -> F) -> usize
    where
        F: FnOnce(&Yielder<I, ()>, I) -> R + 'static,
    {
        let mut size = 1024;
        loop {
            match Fiber::<I, (), R, _>::new(foreign(size), make()) {
                Ok(_) => return size,
                Err(error) => {
                    let NewFiberErrorKind::StackTooSmall {
                        needed_bytes,
                        size_bytes,
                    } = error.kind
                    else {
                        panic!("{:?}", error.kind)
                    };
                    assert_eq!(size_bytes, size);
                    assert!(needed_bytes > size);
                    let exact = needed_bytes.next_multiple_of(64);
                    assert!(Fiber::<I, (), R, _>::new(foreign(exact - 64), error.closure).is_err());
                    size = exact;
                }
            }
        }
    }
    let fixed = size_of::<ControlBlock>() + FLOOR_BYTES;
    let captured = needed::<(), usize, _>(|| {
        let bytes = [1_u8; 4096];
        move |_: &Yielder<(), ()>, ()| bytes.len()
    });
    assert!(
        captured >= 2 * 4096 + fixed,
        "in its slot, and moved out of it"
    );
    let result = needed::<(), [u8; 4096], _>(|| |_: &Yielder<(), ()>, ()| [1_u8; 4096]);
    assert!(
        result >= 2 * 4096 + fixed,
        "in the frame that returns it, and in its slot"
    );
    let input = needed::<[u8; 4096], (), _>(|| |_: &Yielder<[u8; 4096], ()>, _| ());
    assert!(input >= 4096 + fixed, "in the frame that takes it");
}

#[test]
fn errors_say_what_to_do() {
    let stack = foreign(1024);
    let bytes = [0_u8; 4096];
    let error =
        Fiber::<(), (), _, _>::new(stack, move |_: &_, ()| bytes.len()).expect_err("too large");
    let message = error.to_string();
    assert!(
        message.contains("stack of 1024 bytes is too small") && message.contains("at least"),
        "{message}"
    );
    assert_eq!(format!("{error:?}"), message, "`expect` prints the same");
    assert!(FiberFinished(()).to_string().contains("make a new one"));
}

#[test]
fn debug_output_names_the_state() {
    let mut fiber = Fiber::<(), (), (), _>::new(stack(), |yielder, ()| {
        assert!(format!("{yielder:?}").starts_with("Yielder"));
        yielder.suspend(());
    })
    .expect("fits");
    assert!(format!("{fiber:?}").contains("new"));
    let _ = fiber.resume(());
    assert!(format!("{fiber:?}").contains("suspended"));
    let _ = fiber.resume(());
    assert!(format!("{fiber:?}").contains("finished"));
}
