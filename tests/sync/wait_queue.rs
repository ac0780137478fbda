//! The wait queue.

use crate::{panic_of, settle, world};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use core::time::Duration;
use kfiber::platform::{Host, Platform};
use kfiber::scheduler::{self, WaitError};
use kfiber::sync::WaitQueue;

#[test]
fn a_condition_that_holds_is_not_waited_for() {
    world!(S, CELLS);
    static QUEUE: WaitQueue = WaitQueue::new();
    let fiber = S.spawn(&CELLS, || QUEUE.wait_while(|| false)).unwrap();
    S.run();
    assert_eq!(fiber.try_join().unwrap(), Ok(()));
    assert!(QUEUE.is_empty());
    assert!(!QUEUE.wake_one());
    assert_eq!(QUEUE.wake_all(), 0);
}

#[test]
fn wakes_go_to_the_one_that_has_waited_longest() {
    world!(S, CELLS, LOG);
    static QUEUE: WaitQueue = WaitQueue::new();
    for number in 0..4 {
        S.spawn(&CELLS, move || {
            QUEUE.wait().unwrap();
            LOG.say(number);
        })
        .unwrap()
        .detach();
    }
    S.run_until_idle();
    assert!(QUEUE.wake_one());
    S.run_until_idle();
    assert_eq!(LOG.all(), "0");
    assert_eq!(QUEUE.wake_all(), 3);
    S.run();
    assert_eq!(LOG.all(), "0 1 2 3");
    assert!(QUEUE.is_empty());
}

#[test]
fn a_condition_that_does_not_hold_yet_is_waited_for_again() {
    world!(S, CELLS);
    static QUEUE: WaitQueue = WaitQueue::new();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    static LOOKS: AtomicU32 = AtomicU32::new(0);
    let fiber = S
        .spawn(&CELLS, || {
            QUEUE.wait_while(|| {
                LOOKS.fetch_add(1, Relaxed);
                COUNT.load(Relaxed) != 3
            })
        })
        .unwrap();
    for _ in 0..3 {
        S.run_until_idle();
        COUNT.fetch_add(1, Relaxed);
        assert!(QUEUE.wake_one());
    }
    S.run();
    assert_eq!(fiber.try_join().unwrap(), Ok(()));
    assert_eq!(LOOKS.load(Relaxed), 4);
}

#[test]
fn an_interrupt_between_look_and_wait_is_not_lost() {
    world!(S, CELLS);
    static QUEUE: WaitQueue = WaitQueue::new();
    static IS_SET: AtomicBool = AtomicBool::new(false);
    let fiber = S
        .spawn(&CELLS, || {
            QUEUE.wait_while(|| {
                let seen = IS_SET.load(Relaxed);
                if !seen {
                    Host::interrupt(|| {
                        IS_SET.store(true, Relaxed);
                        assert!(!QUEUE.wake_one(), "it does not wait yet");
                    });
                }
                !seen
            })
        })
        .unwrap();
    S.run();
    assert_eq!(fiber.try_join().unwrap(), Ok(()));
}

#[test]
fn a_wait_times_out_and_leaves_the_queue() {
    world!(S, CELLS);
    static QUEUE: WaitQueue = WaitQueue::new();
    let fiber = S
        .spawn(&CELLS, || {
            let waited = QUEUE.wait_while_timeout(Duration::from_nanos(30), || true);
            (waited, scheduler::now(), QUEUE.is_empty())
        })
        .unwrap();
    S.run();
    assert_eq!(
        fiber.try_join().unwrap(),
        (Err(WaitError::TimedOut), 30, true)
    );
}

#[test]
fn a_deadline_in_the_past_looks_once() {
    world!(S, CELLS);
    static QUEUE: WaitQueue = WaitQueue::new();
    S.platform().advance(5);
    let fiber = S
        .spawn(&CELLS, || {
            let mut looks = 0;
            let no = QUEUE.wait_while_until(5, || {
                looks += 1;
                true
            });
            (no, looks, QUEUE.wait_while_until(1, || false))
        })
        .unwrap();
    S.run();
    let (no, looks, yes) = fiber.try_join().unwrap();
    assert_eq!((no, looks, yes), (Err(WaitError::TimedOut), 1, Ok(())));
    assert_eq!(S.platform().now(), 5);
}

#[test]
fn one_that_is_cancelled_leaves_the_queue_and_its_wake_to_the_next() {
    world!(S, CELLS);
    static QUEUE: WaitQueue = WaitQueue::new();
    let first = S.spawn(&CELLS, || QUEUE.wait()).unwrap();
    let second = S.spawn(&CELLS, || QUEUE.wait()).unwrap();
    S.run_until_idle();
    first.cancel();
    S.run_until_idle();
    assert!(QUEUE.wake_one());
    S.run();
    assert_eq!(first.try_join().unwrap(), Err(WaitError::Cancelled));
    assert_eq!(second.try_join().unwrap(), Ok(()));
}

#[test]
fn a_wake_that_came_after_the_last_look_is_passed_on() {
    world!(S, CELLS, LOG);
    static QUEUE: WaitQueue = WaitQueue::new();
    static TICKETS: AtomicU32 = AtomicU32::new(0);
    fn take() -> bool {
        TICKETS.swap(0, Relaxed) == 1
    }
    // The first needs no ticket, but a wake that is not for it comes while it looks.
    S.spawn(&CELLS, || {
        let mut looks = 0;
        let waited = QUEUE.wait_while(|| {
            looks += 1;
            if looks == 2 {
                Host::interrupt(|| {
                    TICKETS.store(1, Relaxed);
                    QUEUE.wake_one();
                    QUEUE.wake_one();
                });
            }
            looks != 2
        });
        waited.unwrap();
        LOG.say("first");
    })
    .unwrap()
    .detach();
    S.run_until_idle();
    QUEUE.wake_one();
    S.spawn(&CELLS, || {
        // Behind the first, which has entered again.
        QUEUE.wait_while(|| !take()).unwrap();
        LOG.say("second");
    })
    .unwrap()
    .detach();
    S.run();
    assert_eq!(LOG.all(), "first second");
}

#[test]
fn a_wake_for_one_that_gives_up_while_it_looks_is_the_next_one_s() {
    world!(S, CELLS, LOG);
    static QUEUE: WaitQueue = WaitQueue::new();
    static IS_SET: AtomicBool = AtomicBool::new(false);
    S.spawn(&CELLS, || {
        // It leaves because its condition panics, after a wake that it will not use.
        let message = panic_of(|| {
            QUEUE.wait_while(|| {
                settle();
                Host::interrupt(|| {
                    IS_SET.store(true, Relaxed);
                    assert!(QUEUE.wake_one());
                });
                panic!("gave up")
            })
        });
        LOG.say(message);
    })
    .unwrap()
    .detach();
    S.spawn(&CELLS, || {
        QUEUE.wait_while(|| !IS_SET.load(Relaxed)).unwrap();
        LOG.say("second");
    })
    .unwrap()
    .detach();
    S.run();
    assert_eq!(LOG.all(), "gave up second");
}

#[test]
fn a_condition_may_wait_itself() {
    world!(S, CELLS);
    static OUTER: WaitQueue = WaitQueue::new();
    static INNER: WaitQueue = WaitQueue::new();
    let fiber = S
        .spawn(&CELLS, || OUTER.wait_while(|| INNER.wait().is_err()))
        .unwrap();
    S.run_until_idle();
    assert!(!OUTER.wake_one(), "it looks, and is in one line at most");
    S.run_until_idle();
    assert!(INNER.wake_one());
    S.run();
    assert_eq!(fiber.try_join().unwrap(), Ok(()));
    assert!(OUTER.is_empty() && INNER.is_empty());
}

#[test]
#[should_panic(expected = "outside of a fiber")]
fn waiting_outside_of_a_fiber_panics() {
    let _never = WaitQueue::new().wait_while(|| false);
}

#[test]
fn waiting_in_an_interrupt_handler_panics_and_leaves_nothing() {
    world!(S, CELLS);
    static QUEUE: WaitQueue = WaitQueue::new();
    let fiber = S
        .spawn(&CELLS, || {
            Host::interrupt(|| panic_of(|| QUEUE.wait_while(|| true)))
        })
        .unwrap();
    S.run();
    let message = fiber.try_join().unwrap();
    assert!(message.contains("in an interrupt handler"), "{message}");
    assert!(QUEUE.is_empty());
}
