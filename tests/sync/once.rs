//! The value that is made once.

use crate::{panic_of, settle, world};
use core::time::Duration;
use kfiber::scheduler::{self, WaitError};
use kfiber::sync::Once;
use std::sync::Arc;

#[test]
fn one_makes_it_and_the_others_wait() {
    world!(S, CELLS, LOG);
    static VALUE: Once<u32> = Once::new();
    assert_eq!(VALUE.get(), None);
    for number in 0..4 {
        S.spawn(&CELLS, move || {
            let value = VALUE.call_once(|| {
                LOG.say(format!("make{number}"));
                settle();
                number
            });
            LOG.say(value);
        })
        .unwrap()
        .detach();
    }
    S.run();
    assert_eq!(LOG.all(), "make0 0 0 0 0");
    assert_eq!(VALUE.get(), Some(&0));
    assert_eq!(*VALUE.call_once(|| 9), 0, "made: nothing to wait for");
}

#[test]
fn when_one_fails_the_next_in_line_tries() {
    world!(S, CELLS, LOG);
    static VALUE: Once<u32> = Once::new();
    for number in 0..3 {
        S.spawn(&CELLS, move || {
            let message = panic_of(|| {
                let value = VALUE.call_once(|| {
                    settle();
                    assert_ne!(number, 0, "failed");
                    number
                });
                LOG.say(value);
            });
            if message != "no panic" {
                LOG.say("failed");
            }
        })
        .unwrap()
        .detach();
    }
    S.run();
    assert_eq!(LOG.all(), "failed 1 1");
}

#[test]
fn one_that_waits_too_long_gets_its_closure_back() {
    world!(S, CELLS);
    static VALUE: Once<u32> = Once::new();
    S.spawn(&CELLS, || {
        VALUE.call_once(|| {
            scheduler::sleep_until(50).unwrap();
            1
        });
    })
    .unwrap()
    .detach();
    let late = S
        .spawn(&CELLS, || {
            let mine = Box::new(2);
            let error = VALUE
                .call_once_timeout(Duration::from_nanos(10), move || *mine)
                .unwrap_err();
            let past = VALUE.call_once_until(0, || 3).is_err();
            (error.error, (error.closure)(), past, scheduler::now())
        })
        .unwrap();
    let cancelled = S.spawn(&CELLS, || *VALUE.call_once(|| 4)).unwrap();
    cancelled.cancel();
    S.run();
    let result = late.try_join().unwrap();
    assert_eq!(result, (WaitError::TimedOut, 2, true, 10));
    assert_eq!(cancelled.try_join().unwrap(), 1, "not disturbed");
}

#[test]
fn calling_it_in_its_own_closure_panics() {
    world!(S, CELLS);
    static VALUE: Once<u32> = Once::new();
    let fiber = S
        .spawn(&CELLS, || {
            let mut message = String::new();
            VALUE.call_once(|| {
                message = panic_of(|| VALUE.call_once(|| 1));
                2
            });
            message
        })
        .unwrap();
    S.run();
    let message = fiber.try_join().unwrap();
    assert!(message.contains("in the closure of the same"), "{message}");
    assert_eq!(VALUE.get(), Some(&2));
    let empty = Once::<u32>::new();
    assert!(panic_of(|| *empty.call_once(|| 1)).contains("outside of a fiber"));
}

#[test]
fn the_value_is_dropped_with_it() {
    world!(S, CELLS);
    let value = Arc::new(());
    let fiber = S
        .spawn(&CELLS, {
            let value = Arc::clone(&value);
            move || {
                let once = Once::new();
                once.call_once(|| value);
                drop(Once::<Arc<()>>::new());
            }
        })
        .unwrap();
    S.run();
    fiber.try_join().unwrap();
    assert_eq!(Arc::strong_count(&value), 1);
}
