//! A fiber dropped while suspended keeps its stack for ever, and says so. A process of its own: hook and count are
//! shared by all threads.

use core::panic::AssertUnwindSafe;
use core::sync::atomic::{AtomicUsize, Ordering};
use kfiber::fiber::{Fiber, Leak, Resumed, leaked_stacks, on_leak};
use kfiber::stack::{Stack, StackHandle, StackInUse, StackPool, Storage};
use std::panic::catch_unwind;
use std::sync::{Mutex, MutexGuard, PoisonError};

type OnStack = Fiber<(), u8, (), StackHandle<Stack<{ 16 * 1024 }>>>;

/// What the hook was told.
static SEEN: Mutex<Vec<Leak>> = Mutex::new(Vec::new());

fn remember(leak: Leak) {
    SEEN.lock().expect("not poisoned").push(leak);
}

/// One test at a time; a hook that forgets is set at the start.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let guard = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    on_leak(|_| ());
    SEEN.lock().expect("not poisoned").clear();
    guard
}

static DROPS: AtomicUsize = AtomicUsize::new(0);

struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        DROPS.fetch_add(1, Ordering::Relaxed);
    }
}

fn suspended(stack: StackHandle<Stack<{ 16 * 1024 }>>) -> OnStack {
    let captured = Counted;
    let mut fiber = Fiber::new(
        stack,
        move |yielder: &kfiber::fiber::Yielder<(), u8>, ()| {
            let local = Counted;
            yielder.suspend(1);
            drop((captured, local));
        },
    )
    .expect("fits");
    assert_eq!(fiber.resume(()), Resumed::Yielded(1));
    fiber
}

#[test]
fn dropping_a_suspended_fiber_keeps_its_stack_and_everything_on_it() {
    static STACK: Stack<{ 16 * 1024 }> = Stack::new();
    let _turn = alone();
    let before = (leaked_stacks(), DROPS.load(Ordering::Relaxed));
    drop(suspended(STACK.take().expect("first")));
    assert_eq!(leaked_stacks(), before.0 + 1);
    assert_eq!(
        DROPS.load(Ordering::Relaxed),
        before.1,
        "neither closure nor locals"
    );
    assert_eq!(STACK.take().err(), Some(StackInUse), "never reused");
}

#[test]
fn the_hook_is_told_which_stack_leaked() {
    static STACK: Stack<{ 16 * 1024 }> = Stack::new();
    let _turn = alone();
    on_leak(remember);
    drop(suspended(STACK.take().expect("first")));
    let expected = Leak {
        stack: STACK.storage_bounds(),
    };
    assert_eq!(*SEEN.lock().expect("not poisoned"), [expected]);
}

#[test]
fn a_new_hook_takes_the_place_of_the_old_one() {
    static STACK: Stack<{ 16 * 1024 }> = Stack::new();
    let _turn = alone();
    on_leak(remember);
    on_leak(|_| ());
    let before = leaked_stacks();
    drop(suspended(STACK.take().expect("first")));
    assert!(SEEN.lock().expect("not poisoned").is_empty());
    assert_eq!(leaked_stacks(), before + 1, "counted all the same");
}

#[test]
fn fibers_that_end_in_any_other_way_are_no_leaks() {
    static POOL: StackPool<{ 16 * 1024 }, 3> = StackPool::new();
    let _turn = alone();
    on_leak(remember);
    let before = leaked_stacks();
    drop(OnStack::new(POOL.take().expect("free"), |_, ()| ()));
    let mut finished = suspended(POOL.take().expect("free"));
    assert_eq!(finished.resume(()), Resumed::Returned(()));
    drop(finished);
    let back = suspended(POOL.take().expect("free")).into_stack();
    let mut back = back.expect_err("suspended");
    assert_eq!(back.resume(()), Resumed::Returned(()));
    assert!(back.into_stack().is_ok());
    assert_eq!(leaked_stacks(), before);
    assert!(SEEN.lock().expect("not poisoned").is_empty());
}

#[test]
fn a_hook_may_panic_and_the_stack_stays_leaked() {
    static STACK: Stack<{ 16 * 1024 }> = Stack::new();
    let _turn = alone();
    on_leak(|_| panic!("leaks are bugs here"));
    let fiber = suspended(STACK.take().expect("first"));
    let before = leaked_stacks();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(fiber))).is_err());
    assert_eq!(leaked_stacks(), before + 1);
    assert_eq!(STACK.take().err(), Some(StackInUse));
}

#[test]
fn a_pool_loses_the_stacks_of_leaked_fibers_and_no_others() {
    static POOL: StackPool<{ 16 * 1024 }, 3> = StackPool::new();
    let _turn = alone();
    drop(suspended(POOL.take().expect("free")));
    drop(suspended(POOL.take().expect("free")));
    for _ in 0..3 {
        let last = POOL.take().expect("one left");
        assert!(POOL.take().is_err());
        drop(last);
    }
}

#[test]
fn a_leaked_fiber_leaks_the_fiber_it_holds_without_a_word_about_it() {
    // The inner one is a local of the outer one, whose locals are not dropped.
    static OUTER: Stack<{ 16 * 1024 }> = Stack::new();
    static INNER: Stack<{ 16 * 1024 }> = Stack::new();
    let _turn = alone();
    on_leak(remember);
    let mut outer = OnStack::new(OUTER.take().expect("first"), |yielder, ()| {
        let _inner = suspended(INNER.take().expect("first"));
        yielder.suspend(2);
    })
    .expect("fits");
    assert_eq!(outer.resume(()), Resumed::Yielded(2));
    drop(outer);
    let stacks: Vec<_> = SEEN
        .lock()
        .expect("not poisoned")
        .iter()
        .map(|leak| leak.stack)
        .collect();
    assert_eq!(stacks, [OUTER.storage_bounds()]);
    assert_eq!(INNER.take().err(), Some(StackInUse));
}
