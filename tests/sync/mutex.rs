//! The mutex.

use crate::{panic_of, settle, world};
use core::time::Duration;
use kfiber::platform::{Host, Platform};
use kfiber::scheduler;
use kfiber::sync::{LockError, Mutex};

#[test]
fn one_at_a_time() {
    // From the third round on all is as in the second: each is given the lock by the one before it in the line.
    const ROUNDS: u64 = if cfg!(miri) { 4 } else { 20 };
    world!(S, CELLS);
    static VALUE: Mutex<u64> = Mutex::new(0);
    for _ in 0..5 {
        S.spawn(&CELLS, || {
            for _ in 0..ROUNDS {
                let mut value = VALUE.lock();
                let before = *value;
                scheduler::yield_now();
                *value = before + 1;
            }
        })
        .unwrap()
        .detach();
    }
    S.run();
    assert!(!VALUE.is_locked());
    let reader = S.spawn(&CELLS, || *VALUE.lock()).unwrap();
    S.run();
    assert_eq!(reader.try_join().unwrap(), 5 * ROUNDS);
}

#[test]
fn it_is_handed_over_in_the_order_of_arrival() {
    world!(S, CELLS, LOG);
    static VALUE: Mutex<()> = Mutex::new(());
    for number in 0..4 {
        S.spawn(&CELLS, move || {
            for _ in 0..2 {
                let _guard = VALUE.lock();
                LOG.say(number);
                scheduler::yield_now();
            }
        })
        .unwrap()
        .detach();
    }
    S.run();
    assert_eq!(LOG.all(), "0 1 2 3 0 1 2 3");
}

#[test]
fn nobody_barges_in() {
    world!(S, CELLS, LOG);
    static VALUE: Mutex<()> = Mutex::new(());
    S.spawn(&CELLS, || {
        let guard = VALUE.lock();
        scheduler::yield_now();
        drop(guard);
        assert!(VALUE.try_lock().is_none(), "it is the waiter's already");
        let _guard = VALUE.lock();
        LOG.say("again");
    })
    .unwrap()
    .detach();
    S.spawn(&CELLS, || {
        let _guard = VALUE.lock();
        LOG.say("waiter");
    })
    .unwrap()
    .detach();
    S.run();
    assert_eq!(LOG.all(), "waiter again");
}

#[test]
fn try_lock_never_waits() {
    world!(S, CELLS);
    static VALUE: Mutex<u32> = Mutex::new(1);
    let fiber = S
        .spawn(&CELLS, || {
            let first = VALUE.try_lock().map(|value| *value);
            let guard = VALUE.lock();
            let while_mine = VALUE.try_lock().is_none();
            drop(guard);
            let in_quiet = scheduler::without_waiting(|| VALUE.try_lock().is_some());
            (first, while_mine, in_quiet)
        })
        .unwrap();
    S.run();
    assert_eq!(fiber.try_join().unwrap(), (Some(1), true, true));
}

#[test]
fn a_wait_times_out() {
    world!(S, CELLS);
    static VALUE: Mutex<()> = Mutex::new(());
    S.spawn(&CELLS, || {
        let guard = VALUE.lock();
        scheduler::sleep(Duration::from_secs(10)).unwrap();
        drop(guard);
    })
    .unwrap()
    .detach();
    let late = S
        .spawn(&CELLS, || {
            let late = VALUE.lock_timeout(Duration::from_secs(4)).map(|_guard| ());
            (late, scheduler::now())
        })
        .unwrap();
    let patient = S
        .spawn(&CELLS, || {
            let patient = VALUE.lock_timeout(Duration::from_secs(40)).map(|_guard| ());
            (patient, scheduler::now())
        })
        .unwrap();
    S.run();
    assert_eq!(
        late.try_join().unwrap(),
        (Err(LockError::TimedOut), 4_000_000_000)
    );
    assert_eq!(patient.try_join().unwrap(), (Ok(()), 10_000_000_000));
    assert!(!VALUE.is_locked());
}

#[test]
fn a_mutex_whose_only_waiter_left_is_unlocked_as_ever() {
    world!(S, CELLS);
    static VALUE: Mutex<()> = Mutex::new(());
    S.spawn(&CELLS, || {
        let guard = VALUE.lock();
        scheduler::sleep_until(20).unwrap();
        drop(guard);
        assert!(VALUE.try_lock().is_some());
    })
    .unwrap()
    .detach();
    S.spawn(&CELLS, || assert!(VALUE.lock_until(10).is_err()))
        .unwrap()
        .detach();
    S.run();
    assert!(!VALUE.is_locked());
}

#[test]
fn a_deadline_in_the_past_takes_what_is_free() {
    world!(S, CELLS);
    static VALUE: Mutex<()> = Mutex::new(());
    S.platform().advance(9);
    let fiber = S
        .spawn(&CELLS, || {
            let free = VALUE.lock_until(3).is_ok();
            let _guard = VALUE.lock();
            let other = S
                .spawn(&CELLS, || VALUE.lock_until(3).map(|_guard| ()))
                .unwrap();
            (free, other.join().unwrap())
        })
        .unwrap();
    S.run();
    assert_eq!(fiber.try_join().unwrap(), (true, Err(LockError::TimedOut)));
    assert_eq!(S.platform().now(), 9);
}

#[test]
fn cancellation_does_not_disturb_locking() {
    world!(S, CELLS);
    static VALUE: Mutex<u32> = Mutex::new(7);
    S.spawn(&CELLS, || {
        let guard = VALUE.lock();
        settle();
        drop(guard);
    })
    .unwrap()
    .detach();
    let waiter = S
        .spawn(&CELLS, || {
            let value = *VALUE.lock();
            (value, scheduler::is_cancelled())
        })
        .unwrap();
    let with_deadline = S
        .spawn(&CELLS, || VALUE.lock_until(100).map(|value| *value))
        .unwrap();
    S.spawn(&CELLS, move || {
        waiter.cancel();
        with_deadline.cancel();
        settle();
        settle();
        assert_eq!(waiter.join().unwrap(), (7, true));
        assert_eq!(with_deadline.join().unwrap(), Ok(7));
    })
    .unwrap()
    .detach();
    S.run();
}

#[test]
fn locking_twice_panics_and_names_the_place() {
    world!(S, CELLS);
    static VALUE: Mutex<()> = Mutex::new(());
    let fiber = S
        .spawn(&CELLS, || {
            let guard = VALUE.lock();
            let message = panic_of(|| VALUE.lock());
            let with_deadline = panic_of(|| VALUE.lock_until(5));
            let is_still_mine = VALUE.is_locked();
            drop(guard);
            (message, with_deadline, is_still_mine, VALUE.is_locked())
        })
        .unwrap();
    S.run();
    let (message, with_deadline, is_still_mine, is_locked) = fiber.try_join().unwrap();
    assert!(message.contains("would wait for itself"), "{message}");
    assert_eq!(message, with_deadline);
    assert_eq!((is_still_mine, is_locked), (true, false));
}

#[test]
fn the_owner_is_known() {
    world!(S, CELLS);
    static VALUE: Mutex<()> = Mutex::new(());
    let fiber = S
        .spawn(&CELLS, || {
            let guard = VALUE.lock();
            let owner = VALUE.owner();
            drop(guard);
            (owner, VALUE.owner())
        })
        .unwrap();
    let id = fiber.id();
    S.run();
    assert_eq!(fiber.try_join().unwrap(), (Some(id), None));
}

#[test]
#[should_panic(expected = "outside of a fiber")]
fn locking_outside_of_a_fiber_panics() {
    drop(Mutex::new(()).lock());
}

#[test]
#[should_panic(expected = "locking outside of a fiber")]
fn trying_to_lock_outside_of_a_fiber_panics() {
    drop(Mutex::new(()).try_lock());
}

#[test]
fn locking_in_an_interrupt_handler_panics() {
    world!(S, CELLS);
    static VALUE: Mutex<()> = Mutex::new(());
    let fiber = S
        .spawn(&CELLS, || {
            let lock = Host::interrupt(|| panic_of(|| VALUE.lock()));
            let try_lock = Host::interrupt(|| panic_of(|| VALUE.try_lock()));
            (lock, try_lock, VALUE.is_locked())
        })
        .unwrap();
    S.run();
    let (lock, try_lock, is_locked) = fiber.try_join().unwrap();
    assert!(lock.contains("in an interrupt handler"), "{lock}");
    assert!(try_lock.contains("with interrupts off"), "{try_lock}");
    assert!(!is_locked);
}

#[test]
fn a_guard_that_unwinds_unlocks() {
    world!(S, CELLS);
    static VALUE: Mutex<()> = Mutex::new(());
    S.spawn(&CELLS, || {
        let message = panic_of(|| {
            let _guard = VALUE.lock();
            panic!("with the guard");
        });
        assert_eq!(message, "with the guard");
        assert!(!VALUE.is_locked());
    })
    .unwrap()
    .detach();
    S.run();
}

#[test]
fn the_value_can_be_had_without_locking_by_its_only_user() {
    let mut value = Mutex::new(String::from("a"));
    value.get_mut().push('b');
    assert_eq!(value.into_inner(), "ab");
    assert_eq!(Mutex::<u8>::default().into_inner(), 0);
}
