//! Pools: each stack goes to one owner, all can be had, and none is lost.

use core::sync::atomic::{AtomicBool, Ordering};
use kfiber::stack::{PoolExhausted, Stack, StackMemory, StackPool, Storage};
use std::collections::BTreeSet;
use std::thread;

#[test]
fn a_pool_hands_out_each_stack_once_and_then_says_that_it_is_exhausted() {
    static POOL: StackPool<1024, 5> = StackPool::new();
    let taken: Vec<_> = (0..5)
        .map(|_| POOL.take().expect("five are there"))
        .collect();
    let bottoms: BTreeSet<_> = taken.iter().map(|s| s.bounds().bottom().addr()).collect();
    assert_eq!(bottoms.len(), 5);
    assert_eq!(POOL.take().err(), Some(PoolExhausted { count: 5 }));
}

#[test]
fn a_stack_that_comes_back_is_found_wherever_it_is_in_the_pool() {
    static POOL: StackPool<1024, 5> = StackPool::new();
    let mut taken: Vec<_> = (0..5)
        .map(|_| POOL.take().expect("five are there"))
        .collect();
    for index in [0, 4, 2, 2, 1, 3, 0] {
        let bottom = taken[index].bounds().bottom();
        drop(taken.remove(index));
        let again = POOL.take().expect("one is free");
        assert_eq!(again.bounds().bottom(), bottom, "the free one");
        taken.insert(index, again);
        assert!(POOL.take().is_err());
    }
}

#[test]
fn a_pool_of_one_works_for_ever() {
    static POOL: StackPool<1024, 1> = StackPool::new();
    for _ in 0..100 {
        let stack = POOL.take().expect("given back");
        assert!(POOL.take().is_err());
        drop(stack);
    }
}

#[test]
#[expect(clippy::mem_forget, reason = "what is tested")]
fn a_pool_goes_on_without_the_stacks_that_were_forgotten() {
    static POOL: StackPool<1024, 3> = StackPool::new();
    core::mem::forget(POOL.take());
    let _second = POOL.take().expect("two left");
    let _third = POOL.take().expect("one left");
    assert!(POOL.take().is_err());
}

#[test]
fn a_stack_taken_by_itself_is_not_handed_out_by_its_pool() {
    static POOL: StackPool<1024, 2> = StackPool::new();
    let by_hand = POOL.stacks()[1].take().expect("free");
    let from_pool = POOL.take().expect("one left");
    assert_ne!(by_hand.bounds(), from_pool.bounds());
    assert!(POOL.take().is_err());
}

#[test]
fn under_contention_no_stack_is_handed_out_twice_and_none_is_lost() {
    const COUNT: usize = 4;
    const ROUNDS: usize = if cfg!(miri) { 10 } else { 20_000 };
    const THREADS: usize = if cfg!(miri) { 3 } else { 8 };
    static POOL: StackPool<1024, COUNT> = StackPool::new();
    static IN_USE: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];
    let first = POOL.stacks()[0].storage_bounds().bottom().addr();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let Ok(stack) = POOL.take() else {
                        continue;
                    };
                    let offset = stack.bounds().bottom().addr() - first;
                    let mine = &IN_USE[offset / size_of::<Stack<1024>>()];
                    assert!(!mine.swap(true, Ordering::SeqCst), "handed out twice");
                    mine.store(false, Ordering::SeqCst);
                    drop(stack);
                }
            });
        }
    });
    let all: Vec<_> = (0..COUNT)
        .map(|_| POOL.take().expect("none was lost"))
        .collect();
    assert_eq!(all.len(), COUNT);
}

#[test]
fn the_error_of_an_exhausted_pool_tells_its_size_and_what_to_do() {
    let message = PoolExhausted { count: 7 }.to_string();
    assert!(
        message.contains("all 7 stacks") && message.contains("larger"),
        "{message}"
    );
}
