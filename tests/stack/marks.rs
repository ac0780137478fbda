//! Paint, high-water mark and canary.

use super::fresh;
use kfiber::stack::{
    FLOOR_BYTES, ForeignStack, GuardedStack, Stack, StackMemory, StackUsage, Storage,
};

/// Writes `value` at `offset` from the bottom of a stack, as an overflow or a frame would.
fn write(stack: &impl StackMemory, offset: usize, value: u8) {
    assert!(offset < stack.bounds().size_bytes());
    // SAFETY: inside a stack that the test owns and on which nothing runs.
    unsafe {
        stack
            .bounds()
            .bottom()
            .wrapping_add(offset)
            .write_volatile(value);
    };
}

#[test]
fn a_static_stack_that_was_never_used_has_used_nothing() {
    let stack = fresh::<Stack<1024>>();
    let usage = stack.usage();
    assert_eq!(
        usage,
        StackUsage {
            used_bytes: 0,
            size_bytes: 1088
        }
    );
    assert_eq!(usage.free_bytes(), 1088);
}

#[test]
fn a_painted_stack_has_used_nothing_whatever_was_there() {
    let mut stack = fresh::<Stack<1024>>();
    for offset in FLOOR_BYTES..1088 {
        write(&stack, offset, 0x5a);
    }
    assert_eq!(stack.usage().used_bytes, 1088 - FLOOR_BYTES);
    stack.paint();
    assert_eq!(stack.usage().used_bytes, 0);
}

#[test]
fn usage_counts_from_the_lowest_word_that_was_written() {
    fn check(mut stack: impl StackMemory, is_painted: bool) {
        if is_painted {
            stack.paint();
        }
        let size = stack.bounds().size_bytes();
        // From the top down, so that each write is the lowest so far.
        for offset in (FLOOR_BYTES..size)
            .rev()
            .step_by(if cfg!(miri) { 411 } else { 13 })
        {
            write(&stack, offset, 0x5a);
            let word = offset / 8 * 8;
            assert_eq!(
                stack.usage().used_bytes,
                size - word,
                "at {offset}, painted: {is_painted}"
            );
            assert_eq!(stack.usage().free_bytes(), word);
        }
        // A write above the mark does not lower it.
        let before = stack.usage();
        write(&stack, size - 1, 0x77);
        assert_eq!(stack.usage(), before);
    }
    for is_painted in [false, true] {
        check(fresh::<Stack<1024>>(), is_painted);
        check(fresh::<GuardedStack<8192>>(), is_painted);
    }
}

#[test]
fn on_a_painted_stack_even_zeros_count_as_use() {
    let mut stack = fresh::<Stack<1024>>();
    stack.paint();
    for byte in 0..8 {
        write(&stack, 512 + byte, 0);
    }
    assert_eq!(stack.usage().used_bytes, 1088 - 512);
}

#[test]
fn on_a_painted_stack_a_zero_in_the_very_last_word_is_seen() {
    let mut stack = fresh::<Stack<1024>>();
    stack.paint();
    for byte in 0..8 {
        write(&stack, FLOOR_BYTES + byte, 0);
    }
    assert_eq!(stack.usage().used_bytes, 1088 - FLOOR_BYTES);
}

#[test]
fn the_last_word_above_the_floor_counts() {
    let mut stack = fresh::<Stack<1024>>();
    stack.paint();
    write(&stack, FLOOR_BYTES, 1);
    assert_eq!(stack.usage().used_bytes, 1088 - FLOOR_BYTES);
}

#[test]
fn the_canary_is_intact_from_the_start_on_every_kind_of_stack() {
    assert!(fresh::<Stack<1024>>().is_canary_intact());
    assert!(fresh::<GuardedStack<8192>>().is_canary_intact());
    let memory = Box::leak(Box::new(Stack::<1024>::new()));
    let bottom = core::ptr::from_mut(memory).cast();
    // SAFETY: leaked, and nobody else has it.
    let foreign = unsafe { ForeignStack::new(bottom, 1088, 0) }.expect("aligned");
    assert!(foreign.is_canary_intact());
}

#[test]
fn each_damaged_byte_of_the_canary_is_noticed() {
    for offset in 8..FLOOR_BYTES {
        let mut stack = fresh::<Stack<1024>>();
        // SAFETY: inside the stack.
        let byte = unsafe { stack.bounds().bottom().wrapping_add(offset).read_volatile() };
        write(&stack, offset, byte ^ 1);
        assert!(!stack.is_canary_intact(), "byte {offset}");
        stack.paint();
        assert!(stack.is_canary_intact(), "painting renews it");
    }
}

#[test]
fn the_canary_of_another_stack_does_not_count() {
    let (one, other) = (fresh::<Stack<1024>>(), fresh::<Stack<1024>>());
    for offset in 8..FLOOR_BYTES {
        // SAFETY: inside the stack.
        let byte = unsafe { other.bounds().bottom().wrapping_add(offset).read() };
        write(&one, offset, byte);
    }
    assert!(!one.is_canary_intact(), "copied from a neighbour");
}

#[test]
fn after_an_overflow_all_of_the_stack_counts_as_used() {
    let mut stack = fresh::<Stack<1024>>();
    stack.paint();
    write(&stack, FLOOR_BYTES - 1, 0);
    write(&stack, FLOOR_BYTES - 2, 0);
    let usage = stack.usage();
    assert_eq!((usage.used_bytes, usage.free_bytes()), (1088, 0));
}

#[test]
fn taking_a_stack_again_renews_the_canary_and_keeps_the_mark() {
    static STACK: Stack<1024> = Stack::new();
    let stack = STACK.take().expect("first");
    write(&stack, 1000, 1);
    write(&stack, 9, 0xff);
    write(&stack, 10, 0xff);
    assert!(!stack.is_canary_intact());
    drop(stack);
    let stack = STACK.take().expect("given back");
    assert!(stack.is_canary_intact());
    assert_eq!(stack.usage().used_bytes, 1088 - 1000);
}

#[test]
fn painting_leaves_the_owner_alone() {
    static STACK: Stack<1024> = Stack::new();
    let mut stack = STACK.take().expect("first");
    stack.paint();
    assert!(STACK.take().is_err(), "still taken");
    drop(stack);
    assert!(STACK.take().is_ok());
}
