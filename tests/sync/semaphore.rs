//! The semaphore.

use crate::{panic_of, settle, world};
use core::time::Duration;
use kfiber::platform::{Host, NEVER, Platform};
use kfiber::scheduler::{self, WaitError};
use kfiber::sync::{Semaphore, TooManyPermits};

#[test]
fn permits_are_counted() {
    let permits = Semaphore::new(2);
    assert!(permits.try_acquire());
    assert!(permits.try_acquire());
    assert!(!permits.try_acquire());
    permits.release(3).unwrap();
    assert_eq!(permits.available(), 3);
    permits.release(0).unwrap();
    assert_eq!(permits.available(), 3);
}

#[test]
fn waiters_are_served_in_the_order_of_arrival() {
    world!(S, CELLS, LOG);
    static PERMITS: Semaphore = Semaphore::new(0);
    for number in 0..5 {
        S.spawn(&CELLS, move || {
            PERMITS.acquire().unwrap();
            LOG.say(number);
        })
        .unwrap()
        .detach();
    }
    S.run_until_idle();
    assert_eq!(LOG.all(), "");
    PERMITS.release(2).unwrap();
    S.run_until_idle();
    assert_eq!(LOG.all(), "0 1");
    PERMITS.release(1).unwrap();
    S.run_until_idle();
    assert_eq!(LOG.all(), "0 1 2");
    PERMITS.release(5).unwrap();
    S.run();
    assert_eq!(LOG.all(), "0 1 2 3 4");
    assert_eq!(PERMITS.available(), 3);
}

#[test]
fn nobody_takes_a_permit_that_is_another_s() {
    world!(S, CELLS, LOG);
    static PERMITS: Semaphore = Semaphore::new(0);
    S.spawn(&CELLS, || {
        PERMITS.acquire().unwrap();
        LOG.say("first");
        PERMITS.release(1).unwrap();
    })
    .unwrap()
    .detach();
    S.spawn(&CELLS, || {
        PERMITS.release(1).unwrap();
        assert!(!PERMITS.try_acquire(), "it is the waiter's already");
        PERMITS.acquire().unwrap();
        LOG.say("second");
    })
    .unwrap()
    .detach();
    S.run();
    assert_eq!(LOG.all(), "first second");
}

#[test]
fn a_wait_times_out_and_leaves_no_trace() {
    world!(S, CELLS);
    static PERMITS: Semaphore = Semaphore::new(0);
    let fiber = S
        .spawn(&CELLS, || {
            let waited = PERMITS.acquire_timeout(Duration::from_secs(3));
            (waited, scheduler::now())
        })
        .unwrap();
    S.run();
    assert_eq!(
        fiber.try_join().unwrap(),
        (Err(WaitError::TimedOut), 3_000_000_000)
    );
    PERMITS.release(1).unwrap();
    assert_eq!(PERMITS.available(), 1);
}

#[test]
fn one_that_times_out_in_the_middle_leaves_the_others_in_order() {
    world!(S, CELLS, LOG);
    static PERMITS: Semaphore = Semaphore::new(0);
    for number in 0..5_u64 {
        let deadline = if number == 2 { 5 } else { NEVER };
        S.spawn(&CELLS, move || match PERMITS.acquire_until(deadline) {
            Ok(()) => LOG.say(number),
            Err(WaitError::TimedOut) => LOG.say(format!("{number}:late")),
            Err(error) => LOG.say(error),
        })
        .unwrap()
        .detach();
    }
    S.run_until_idle();
    S.platform().advance(5);
    S.run_until_idle();
    assert_eq!(LOG.all(), "2:late");
    PERMITS.release(4).unwrap();
    S.run();
    assert_eq!(LOG.all(), "2:late 0 1 3 4");
    assert_eq!(PERMITS.available(), 0);
}

#[test]
fn the_first_and_the_last_may_leave_too() {
    world!(S, CELLS, LOG);
    static PERMITS: Semaphore = Semaphore::new(0);
    for (number, deadline) in [(0, 1), (1, NEVER), (2, 2)] {
        S.spawn(&CELLS, move || match PERMITS.acquire_until(deadline) {
            Ok(()) => LOG.say(number),
            Err(_) => LOG.say(format!("-{number}")),
        })
        .unwrap()
        .detach();
    }
    S.run_until_idle();
    S.platform().advance(1);
    S.run_until_idle();
    S.platform().advance(1);
    S.run_until_idle();
    S.spawn(&CELLS, || {
        PERMITS.acquire().unwrap();
        LOG.say(3);
    })
    .unwrap()
    .detach();
    S.run_until_idle();
    PERMITS.release(2).unwrap();
    S.run();
    assert_eq!(LOG.all(), "-0 -2 1 3");
}

#[test]
fn a_deadline_in_the_past_takes_what_is_there() {
    world!(S, CELLS);
    static PERMITS: Semaphore = Semaphore::new(1);
    S.platform().advance(10);
    let fiber = S
        .spawn(&CELLS, || {
            [
                PERMITS.acquire_until(3),
                PERMITS.acquire_until(3),
                PERMITS.acquire_until(10),
            ]
        })
        .unwrap();
    S.run();
    let late = Err(WaitError::TimedOut);
    assert_eq!(fiber.try_join().unwrap(), [Ok(()), late, late]);
    assert_eq!(S.platform().now(), 10);
}

#[test]
fn a_duration_without_end_is_no_deadline() {
    world!(S, CELLS);
    static PERMITS: Semaphore = Semaphore::new(0);
    let fiber = S
        .spawn(&CELLS, || PERMITS.acquire_timeout(Duration::MAX))
        .unwrap();
    S.run_until_idle();
    S.platform().advance(u64::MAX - 1);
    S.run_until_idle();
    PERMITS.release(1).unwrap();
    S.run();
    assert_eq!(fiber.try_join().unwrap(), Ok(()));
}

#[test]
fn one_that_is_cancelled_leaves_the_permit_to_the_next() {
    world!(S, CELLS);
    static PERMITS: Semaphore = Semaphore::new(0);
    let first = S.spawn(&CELLS, || PERMITS.acquire()).unwrap();
    let second = S.spawn(&CELLS, || PERMITS.acquire()).unwrap();
    S.run_until_idle();
    first.cancel();
    S.run_until_idle();
    PERMITS.release(1).unwrap();
    S.run();
    assert_eq!(first.try_join().unwrap(), Err(WaitError::Cancelled));
    assert_eq!(second.try_join().unwrap(), Ok(()));
    assert_eq!(PERMITS.available(), 0);
}

#[test]
fn one_that_is_cancelled_but_has_not_left_yet_gets_its_permit() {
    world!(S, CELLS);
    static PERMITS: Semaphore = Semaphore::new(0);
    let fiber = S.spawn(&CELLS, || PERMITS.acquire()).unwrap();
    S.run_until_idle();
    fiber.cancel();
    PERMITS.release(1).unwrap();
    S.run();
    assert_eq!(fiber.try_join().unwrap(), Ok(()));
    assert_eq!(PERMITS.available(), 0);
}

#[test]
fn one_that_is_served_and_cancelled_keeps_its_permit() {
    world!(S, CELLS);
    static PERMITS: Semaphore = Semaphore::new(0);
    let fiber = S.spawn(&CELLS, || PERMITS.acquire()).unwrap();
    S.run_until_idle();
    PERMITS.release(1).unwrap();
    fiber.cancel();
    S.run();
    assert_eq!(fiber.try_join().unwrap(), Ok(()));
}

#[test]
fn one_that_is_served_after_its_deadline_but_before_it_runs_keeps_its_permit() {
    world!(S, CELLS);
    static PERMITS: Semaphore = Semaphore::new(0);
    let fiber = S.spawn(&CELLS, || PERMITS.acquire_until(7)).unwrap();
    S.run_until_idle();
    S.platform().advance(8);
    S.timer_interrupt();
    Host::interrupt(|| PERMITS.release(1).unwrap());
    S.run();
    assert_eq!(fiber.try_join().unwrap(), Ok(()));
    assert_eq!(PERMITS.available(), 0);
}

#[test]
fn a_cancelled_fiber_takes_what_is_there_and_waits_for_nothing() {
    world!(S, CELLS);
    static PERMITS: Semaphore = Semaphore::new(1);
    let fiber = S
        .spawn(&CELLS, || [PERMITS.acquire(), PERMITS.acquire()])
        .unwrap();
    fiber.cancel();
    S.run();
    assert_eq!(
        fiber.try_join().unwrap(),
        [Ok(()), Err(WaitError::Cancelled)]
    );
}

#[test]
fn a_shielded_fiber_waits_on() {
    world!(S, CELLS);
    static PERMITS: Semaphore = Semaphore::new(0);
    let fiber = S
        .spawn(&CELLS, || scheduler::shield(|| PERMITS.acquire()))
        .unwrap();
    S.run_until_idle();
    fiber.cancel();
    S.run_until_idle();
    assert!(!fiber.is_finished());
    PERMITS.release(1).unwrap();
    S.run();
    assert_eq!(fiber.try_join().unwrap(), Ok(()));
}

#[test]
fn an_interrupt_gives_and_takes() {
    world!(S, CELLS, LOG);
    static PERMITS: Semaphore = Semaphore::new(0);
    S.spawn(&CELLS, || {
        PERMITS.acquire().unwrap();
        LOG.say("woken");
    })
    .unwrap()
    .detach();
    S.spawn(&CELLS, || {
        Host::interrupt(|| PERMITS.release(2).unwrap());
        assert!(Host::interrupt(|| PERMITS.try_acquire()));
        assert!(!Host::interrupt(|| PERMITS.try_acquire()));
        settle();
        LOG.say("after");
    })
    .unwrap()
    .detach();
    S.run();
    assert_eq!(LOG.all(), "woken after");
}

#[test]
fn more_permits_than_the_limit_are_refused_and_change_nothing() {
    let permits = Semaphore::with_limit(1, 2);
    assert_eq!(permits.release(2), Err(TooManyPermits { count: 2 }));
    assert_eq!(permits.available(), 1);
    permits.release(1).unwrap();
    assert_eq!(permits.release(1), Err(TooManyPermits { count: 1 }));
    let full = Semaphore::new(Semaphore::MAX);
    assert_eq!(full.release(1), Err(TooManyPermits { count: 1 }));
    assert_eq!(full.available(), Semaphore::MAX);
    let empty = Semaphore::new(0);
    let count = usize::MAX;
    assert_eq!(empty.release(count), Err(TooManyPermits { count }));
    assert!(
        TooManyPermits { count }
            .to_string()
            .contains("raise its limit")
    );
}

#[test]
fn more_permits_than_limit_and_waiters_are_refused_and_wake_nobody() {
    world!(S, CELLS);
    static PERMITS: Semaphore = Semaphore::with_limit(0, 1);
    let fibers = [(); 2].map(|()| S.spawn(&CELLS, || PERMITS.acquire()).unwrap());
    S.run_until_idle();
    assert_eq!(PERMITS.release(4), Err(TooManyPermits { count: 4 }));
    S.run_until_idle();
    assert!(fibers.iter().all(|fiber| !fiber.is_finished()));
    PERMITS.release(3).unwrap();
    S.run();
    assert_eq!(PERMITS.available(), 1);
    for fiber in fibers {
        fiber.try_join().unwrap().unwrap();
    }
}

#[test]
#[should_panic(expected = "more permits than its limit")]
fn a_semaphore_does_not_begin_above_its_limit() {
    let _permits = Semaphore::with_limit(2, 1);
}

#[test]
#[should_panic(expected = "`Semaphore::MAX` at most")]
fn a_limit_is_limited() {
    let _permits = Semaphore::with_limit(0, Semaphore::MAX + 1);
}

#[test]
#[should_panic(expected = "outside of a fiber")]
fn acquiring_outside_of_a_fiber_panics_even_with_a_permit() {
    let _never = Semaphore::new(1).acquire();
}

#[test]
fn acquiring_where_waiting_is_forbidden_panics_even_with_a_permit() {
    world!(S, CELLS);
    static PERMITS: Semaphore = Semaphore::new(1);
    let fiber = S
        .spawn(&CELLS, || {
            let in_handler = Host::interrupt(|| panic_of(|| PERMITS.acquire()));
            let forbidden = scheduler::without_waiting(|| panic_of(|| PERMITS.acquire()));
            (in_handler, forbidden)
        })
        .unwrap();
    S.run();
    let (in_handler, forbidden) = fiber.try_join().unwrap();
    assert!(
        in_handler.contains("in an interrupt handler"),
        "{in_handler}"
    );
    assert!(forbidden.contains("`without_waiting`"), "{forbidden}");
    assert_eq!(PERMITS.available(), 1);
}

#[test]
fn the_process_list_says_who_waits_for_which_semaphore_where() {
    world!(S, CELLS);
    static PERMITS: Semaphore = Semaphore::new(0);
    let line = line!() + 1;
    let fiber = S.spawn(&CELLS, || PERMITS.acquire()).unwrap();
    S.run_until_idle();
    let info = S.fibers().next().unwrap();
    let scheduler::FiberState::Waiting {
        reason,
        object,
        location,
    } = info.state
    else {
        panic!("{info:?}");
    };
    assert_eq!(reason, scheduler::WaitReason::Semaphore);
    assert_eq!(object, (&raw const PERMITS).cast());
    assert_eq!((location.file(), location.line()), (file!(), line));
    fiber.cancel();
    S.run();
}
