//! The condition variable.

use crate::{panic_of, world};
use core::time::Duration;
use kfiber::platform::Host;
use kfiber::scheduler::{self, WaitError};
use kfiber::sync::{Condvar, Mutex};

#[test]
fn notifications_go_to_the_one_that_has_waited_longest() {
    world!(S, CELLS, LOG);
    static VALUE: Mutex<()> = Mutex::new(());
    static CHANGED: Condvar = Condvar::new();
    for number in 0..4 {
        S.spawn(&CELLS, move || {
            let mut guard = VALUE.lock();
            CHANGED.wait(&mut guard).unwrap();
            LOG.say(number);
        })
        .unwrap()
        .detach();
    }
    S.run_until_idle();
    assert!(!VALUE.is_locked());
    assert!(CHANGED.notify_one());
    S.run_until_idle();
    assert_eq!(LOG.all(), "0");
    assert_eq!(Host::interrupt(|| CHANGED.notify_all()), 3);
    S.run();
    assert_eq!(LOG.all(), "0 1 2 3");
    assert!(!CHANGED.notify_one() && CHANGED.notify_all() == 0);
}

#[test]
fn nothing_is_lost_between_unlocking_and_waiting() {
    world!(S, CELLS);
    static VALUE: Mutex<bool> = Mutex::new(false);
    static CHANGED: Condvar = Condvar::new();
    let waiter = S
        .spawn(&CELLS, || {
            let mut guard = VALUE.lock();
            scheduler::yield_now(); // the other one waits for the mutex now
            let waited = CHANGED.wait_while(&mut guard, |value| !*value);
            (waited, *guard)
        })
        .unwrap();
    S.spawn(&CELLS, || {
        *VALUE.lock() = true;
        assert!(CHANGED.notify_one());
    })
    .unwrap()
    .detach();
    S.run();
    assert_eq!(waiter.try_join().unwrap(), (Ok(()), true));
}

#[test]
fn it_times_out_with_the_mutex_locked() {
    world!(S, CELLS);
    static VALUE: Mutex<()> = Mutex::new(());
    static CHANGED: Condvar = Condvar::new();
    let waiter = S
        .spawn(&CELLS, || {
            let mut guard = VALUE.lock();
            let late = CHANGED.wait_timeout(&mut guard, Duration::from_nanos(5));
            let past = CHANGED.wait_until(&mut guard, 1);
            let never = CHANGED.wait_while_until(&mut guard, 9, |()| true);
            (late, past, never, scheduler::now(), VALUE.is_locked())
        })
        .unwrap();
    S.run();
    let late = Err(WaitError::TimedOut);
    assert_eq!(waiter.try_join().unwrap(), (late, late, late, 9, true));
    assert!(!CHANGED.notify_one());
}

#[test]
fn a_condition_that_came_true_while_it_gave_up_counts() {
    world!(S, CELLS);
    static VALUE: Mutex<bool> = Mutex::new(false);
    static CHANGED: Condvar = Condvar::new();
    let waiter = S
        .spawn(&CELLS, || {
            let mut guard = VALUE.lock();
            CHANGED.wait_while_until(&mut guard, 10, |value| !*value)
        })
        .unwrap();
    S.spawn(&CELLS, || {
        let mut guard = VALUE.lock();
        scheduler::sleep_until(20).unwrap();
        *guard = true;
    })
    .unwrap()
    .detach();
    S.run();
    assert_eq!(waiter.try_join().unwrap(), Ok(()));
}

#[test]
fn cancellation_ends_it_with_the_mutex_locked_and_passes_notifications_by() {
    world!(S, CELLS);
    static VALUE: Mutex<()> = Mutex::new(());
    static CHANGED: Condvar = Condvar::new();
    let [cancelled, other] = [(); 2].map(|()| {
        S.spawn(&CELLS, || {
            let mut guard = VALUE.lock();
            (CHANGED.wait(&mut guard), VALUE.is_locked())
        })
        .unwrap()
    });
    S.run_until_idle();
    cancelled.cancel();
    S.run_until_idle();
    assert!(CHANGED.notify_one());
    S.run();
    let error = Err(WaitError::Cancelled);
    assert_eq!(cancelled.try_join().unwrap(), (error, true));
    assert_eq!(other.try_join().unwrap(), (Ok(()), true));
}

#[test]
fn waiting_where_it_is_forbidden_panics_and_leaves_all_as_it_was() {
    world!(S, CELLS);
    static VALUE: Mutex<()> = Mutex::new(());
    static CHANGED: Condvar = Condvar::new();
    S.spawn(&CELLS, || {
        let mut guard = VALUE.lock();
        let message = Host::interrupt(|| panic_of(|| CHANGED.wait(&mut guard)));
        assert!(message.contains("in an interrupt handler"), "{message}");
        assert!(VALUE.is_locked());
        assert!(!CHANGED.notify_one());
    })
    .unwrap()
    .detach();
    S.run();
}
