//! A static stack has one owner at a time, whoever asks and from wherever.

use super::fresh;
use kfiber::stack::{
    ForeignStack, GuardedStack, GuardedStackPool, Pool, Stack, StackBounds, StackHandle,
    StackInUse, StackMemory, StackPool, Storage,
};
use std::sync::Barrier;
use std::thread;

const fn assert_send<T: Send>() {}
const fn assert_sync<T: Sync>() {}

// Statics are shared by all cores, and a handle is only an address: whoever has it owns the memory. What is not `Send`
// is a fiber that runs there.
const _: () = {
    assert_sync::<Stack<1024>>();
    assert_sync::<GuardedStack<8192>>();
    assert_sync::<StackPool<1024, 2>>();
    assert_sync::<GuardedStackPool<8192, 2>>();
    assert_send::<StackHandle<Stack<1024>>>();
    assert_sync::<StackHandle<Stack<1024>>>();
    assert_send::<StackHandle<GuardedStack<8192>>>();
    assert_send::<ForeignStack>();
    assert_send::<StackBounds>();
    assert_sync::<StackBounds>();
};

const ROUNDS: usize = if cfg!(miri) { 5 } else { 1000 };
const THREADS: usize = if cfg!(miri) { 3 } else { 8 };

#[test]
fn a_stack_is_taken_once() {
    static STACK: Stack<1024> = Stack::new();
    let taken = STACK.take();
    assert!(taken.is_ok());
    assert_eq!(STACK.take().err(), Some(StackInUse));
    assert_eq!(STACK.take().err(), Some(StackInUse));
}

#[test]
fn a_guarded_stack_is_taken_once() {
    static STACK: GuardedStack<8192> = GuardedStack::new();
    let taken = STACK.take();
    assert!(taken.is_ok());
    assert_eq!(STACK.take().err(), Some(StackInUse));
}

#[test]
fn dropping_the_handle_gives_the_stack_back() {
    static STACK: Stack<1024> = Stack::new();
    for _ in 0..3 {
        let taken = STACK.take().expect("given back");
        assert!(STACK.take().is_err());
        drop(taken);
    }
}

#[test]
#[expect(clippy::mem_forget, reason = "what is tested")]
fn a_forgotten_handle_keeps_the_stack_taken() {
    static STACK: Stack<1024> = Stack::new();
    core::mem::forget(STACK.take());
    assert_eq!(STACK.take().err(), Some(StackInUse));
}

#[test]
fn a_handle_has_the_bounds_of_its_static() {
    static STACK: Stack<1024> = Stack::new();
    static GUARDED: GuardedStack<8192> = GuardedStack::new();
    assert_eq!(
        STACK.take().expect("first").bounds(),
        STACK.storage_bounds()
    );
    assert_eq!(
        GUARDED.take().expect("first").bounds(),
        GUARDED.storage_bounds()
    );
}

#[test]
fn a_handle_can_be_dropped_on_another_thread() {
    static STACK: Stack<1024> = Stack::new();
    let taken = STACK.take().expect("first");
    thread::spawn(move || drop(taken)).join().expect("drops");
    assert!(STACK.take().is_ok());
}

#[test]
fn of_many_threads_exactly_one_takes_a_stack() {
    static STACK: Stack<1024> = Stack::new();
    let (start, end) = (Barrier::new(THREADS), Barrier::new(THREADS));
    let winners = core::sync::atomic::AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for round in 1..=ROUNDS {
                    start.wait();
                    let taken = STACK.take();
                    if taken.is_ok() {
                        winners.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
                    }
                    end.wait();
                    // All tried, nobody gave it back yet.
                    assert_eq!(winners.load(core::sync::atomic::Ordering::Relaxed), round);
                    start.wait();
                    drop(taken);
                }
            });
        }
    });
}

#[test]
fn what_one_owner_wrote_the_next_owner_sees() {
    // Also a test for Miri's data race detector: plain writes, ordered by nothing but take and drop.
    static STACK: Stack<1024> = Stack::new();
    let total = THREADS as u64 * ROUNDS as u64;
    let add_one = || {
        let mut done = 0;
        while done < ROUNDS {
            let Ok(taken) = STACK.take() else {
                thread::yield_now();
                continue;
            };
            let counter: *mut u64 = taken.bounds().bottom().wrapping_add(64).cast();
            // SAFETY: inside a stack that is ours, aligned.
            unsafe { *counter += 1 };
            done += 1;
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(add_one);
        }
    });
    let taken = STACK.take().expect("all gave it back");
    let counter: *mut u64 = taken.bounds().bottom().wrapping_add(64).cast();
    // SAFETY: as above.
    assert_eq!(unsafe { *counter }, total);
}

#[test]
fn an_error_tells_what_to_do() {
    let stack: &'static Stack<1024> = Box::leak(Box::new(Stack::new()));
    let _taken = stack.take();
    let message = stack.take().expect_err("in use").to_string();
    assert!(
        message.contains("in use") && message.contains("pool"),
        "{message}"
    );
}

#[test]
fn debug_output_of_handles_names_the_bounds() {
    let taken = fresh::<Stack<1024>>();
    let bounds = format!("{:?}", taken.bounds());
    assert!(format!("{taken:?}").contains(&bounds));
    let stack = Box::new(GuardedStack::<8192>::default());
    assert!(format!("{stack:?}").contains("GuardedStack"));
    let stack = Box::new(Stack::<1024>::default());
    assert!(format!("{stack:?}").starts_with("Stack("));
    let pool = Pool::<Stack<1024>, 2>::default();
    assert!(format!("{pool:?}").contains("count: 2"));
}

#[test]
fn two_threads_that_take_as_fast_as_they_can_never_both_have_it() {
    use core::sync::atomic::{AtomicBool, Ordering};
    const TRIES: usize = if cfg!(miri) { 20 } else { 2_000_000 };
    static STACK: Stack<1024> = Stack::new();
    static IN_USE: AtomicBool = AtomicBool::new(false);
    let both = || {
        for _ in 0..TRIES {
            if let Ok(taken) = STACK.take() {
                assert!(!IN_USE.swap(true, Ordering::Relaxed), "taken twice");
                IN_USE.store(false, Ordering::Relaxed);
                drop(taken);
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(both);
        scope.spawn(both);
    });
}
