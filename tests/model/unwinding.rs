//! On a host a panic unwinds, and the fibers of a thread share what the standard library knows of it: see
//! `scheduler::failures`.

use crate::{LOG, S, child, contain, end_of, settle, spawn};
use kfiber::scheduler::yield_now;
use kfiber::sync::{Mutex, Once};
use std::thread::panicking;

/// Lets others run while it is dropped.
struct WaitsWhenDropped;

impl Drop for WaitsWhenDropped {
    fn drop(&mut self) {
        settle();
    }
}

/// A fiber that others see unwind.
fn unwinds_for_long() {
    spawn("unwinds", || {
        let _waits = WaitsWhenDropped;
        panic!("the reason");
    })
    .detach();
}

#[test]
fn the_fibers_of_a_thread_share_whether_it_panics() {
    child::passes(|| {
        contain();
        unwinds_for_long();
        let other = spawn("other", panicking);
        S.run();
        assert_eq!(
            end_of(other),
            Ok(true),
            "then the documentation is to say so"
        );
    });
}

#[test]
fn a_guard_dropped_while_another_fiber_unwinds_poisons_nothing() {
    static LOCK: Mutex<u32> = Mutex::new(0);
    child::passes(|| {
        contain();
        unwinds_for_long();
        let other = spawn("other", || {
            for _ in 0..3 {
                *LOCK.lock() += 1;
                yield_now();
            }
            LOCK.is_poisoned()
        });
        S.run();
        assert_eq!(end_of(other), Ok(false));
    });
}

#[test]
fn a_fiber_panics_while_another_unwinds_and_each_fails_for_its_own_reason() {
    child::passes(|| {
        contain();
        let first = spawn("first", || {
            let _waits = WaitsWhenDropped;
            panic!("the first reason");
        });
        let second = spawn("second", || {
            yield_now();
            panic!("the second reason");
        });
        S.run();
        for (fiber, reason) in [(first, "the first reason"), (second, "the second reason")] {
            let fiber: kfiber::scheduler::JoinHandle<()> = fiber;
            crate::assert_names(&end_of(fiber).unwrap_err(), &[reason]);
        }
        assert_eq!(LOG.take().len(), 2);
        assert!(!panicking());
    });
}

#[test]
fn a_value_that_was_not_made_is_made_by_the_next_while_the_first_unwinds() {
    static ONCE: Once<u32> = Once::new();
    child::passes(|| {
        contain();
        spawn("first", || {
            ONCE.call_once(|| {
                let _waits = WaitsWhenDropped;
                panic!("half-way")
            });
        })
        .detach();
        let next = spawn("next", || *ONCE.call_once(|| 5));
        S.run();
        assert_eq!(end_of(next), Ok(5));
    });
}

#[test]
fn a_destructor_that_waits_for_another_fiber_while_it_unwinds_is_waited_for() {
    static LOCK: Mutex<u32> = Mutex::new(0);
    struct Locks;
    impl Drop for Locks {
        fn drop(&mut self) {
            *LOCK.lock() += 1;
        }
    }
    child::passes(|| {
        contain();
        let has_it = spawn("has it", || {
            let mut guard = LOCK.lock();
            settle();
            *guard += 1;
        });
        let unwinds = spawn("unwinds", || {
            let _locks = Locks;
            panic!("the reason");
        });
        S.run();
        assert_eq!(end_of(has_it), Ok(()));
        let unwinds: kfiber::scheduler::JoinHandle<()> = unwinds;
        assert!(end_of(unwinds).is_err());
        let value = spawn("reads", || *LOCK.lock());
        S.run();
        assert_eq!(end_of(value), Ok(2));
    });
}
