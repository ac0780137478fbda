//! The wait queue.

use crate::{panic_of, settle, world};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use core::time::Duration;
use kfiber::fiber::{Fiber, Resumed, Suspend};
use kfiber::platform::{Host, Platform};
use kfiber::scheduler::{self, Hooks, JoinErrorKind, Priority, Report, WaitError};
use kfiber::stack::{Stack, Storage};
use kfiber::sync::WaitQueue;

/// With hooks, a fiber that panics fails alone.
struct Ignore;

impl Hooks for Ignore {
    fn report(&self, _report: &Report<'_>) {}
}

#[test]
fn a_condition_that_holds_is_not_waited_for() {
    world!(S, CELLS);
    static QUEUE: WaitQueue = WaitQueue::new();
    let fiber = S.spawn(&CELLS, || QUEUE.wait_until(|| true)).unwrap();
    S.run();
    assert_eq!(fiber.try_join().unwrap(), Ok(()));
    assert!(QUEUE.is_empty());
    assert!(!QUEUE.wake_one());
    assert!(!QUEUE.wake_all());
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
    assert!(QUEUE.wake_all());
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
            QUEUE.wait_until(|| {
                LOOKS.fetch_add(1, Relaxed);
                COUNT.load(Relaxed) == 3
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
            QUEUE.wait_until(|| {
                let seen = IS_SET.load(Relaxed);
                if !seen {
                    Host::interrupt(|| {
                        IS_SET.store(true, Relaxed);
                        assert!(!QUEUE.wake_one(), "it does not wait yet");
                    });
                }
                seen
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
            let waited = QUEUE.wait_timeout(Duration::from_nanos(30), || false);
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
            let no = QUEUE.wait_until_deadline(5, || {
                looks += 1;
                false
            });
            (no, looks, QUEUE.wait_until_deadline(1, || true))
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
        let waited = QUEUE.wait_until(|| {
            looks += 1;
            if looks == 2 {
                Host::interrupt(|| {
                    TICKETS.store(1, Relaxed);
                    QUEUE.wake_one();
                    QUEUE.wake_one();
                });
            }
            looks == 2
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
        QUEUE.wait_until(take).unwrap();
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
            QUEUE.wait_until(|| {
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
        QUEUE.wait_until(|| IS_SET.load(Relaxed)).unwrap();
        LOG.say("second");
    })
    .unwrap()
    .detach();
    S.run();
    assert_eq!(LOG.all(), "gave up second");
}

/// A condition that does not hold, and panics when it is asked for the `count`th time.
fn panics_when_asked(count: u32) -> impl FnMut() -> bool {
    let mut asked = 0;
    move || {
        asked += 1;
        assert!(asked < count, "asked {count} times");
        false
    }
}

#[test]
fn a_wake_goes_on_if_the_condition_panics_and_the_panic_is_caught() {
    world!(S, CELLS, LOG);
    static QUEUE: WaitQueue = WaitQueue::new();
    static IS_SET: AtomicBool = AtomicBool::new(false);
    S.spawn(&CELLS, || {
        LOG.say(panic_of(|| QUEUE.wait_until(panics_when_asked(2))));
        // It is as if it had never waited.
        QUEUE.wait_until(|| IS_SET.load(Relaxed)).unwrap();
    })
    .unwrap()
    .detach();
    for name in ["second", "third"] {
        S.spawn(&CELLS, move || {
            QUEUE.wait_until(|| IS_SET.load(Relaxed)).unwrap();
            LOG.say(name);
        })
        .unwrap()
        .detach();
    }
    S.run_until_idle();
    IS_SET.store(true, Relaxed);
    assert!(QUEUE.wake_one());
    S.run_until_idle();
    assert_eq!(LOG.all(), "asked 2 times second");
    assert!(QUEUE.wake_one());
    S.run();
    assert_eq!(LOG.all(), "asked 2 times second third");
    assert!(QUEUE.is_empty());
}

#[test]
fn a_wake_goes_on_if_the_condition_panics_and_the_fiber_fails() {
    world!(S, CELLS, LOG);
    static QUEUE: WaitQueue = WaitQueue::new();
    static IS_SET: AtomicBool = AtomicBool::new(false);
    S.set_hooks(&Ignore).unwrap();
    let fails = S.spawn(&CELLS, || QUEUE.wait_until(panics_when_asked(2)));
    S.spawn(&CELLS, || {
        QUEUE.wait_until(|| IS_SET.load(Relaxed)).unwrap();
        LOG.say("second");
    })
    .unwrap()
    .detach();
    S.run_until_idle();
    IS_SET.store(true, Relaxed);
    assert!(QUEUE.wake_one());
    S.run();
    assert!(matches!(
        fails.unwrap().try_join().unwrap_err().kind,
        JoinErrorKind::Failed(_)
    ));
    assert_eq!(LOG.all(), "second");
    assert!(QUEUE.is_empty());
}

#[test]
fn one_whose_condition_panics_before_it_waits_takes_no_wake() {
    world!(S, CELLS);
    static QUEUE: WaitQueue = WaitQueue::new();
    static IS_SET: AtomicBool = AtomicBool::new(false);
    let panics = S.spawn(&CELLS, || {
        panic_of(|| {
            QUEUE.wait_until(|| {
                settle();
                assert!(IS_SET.load(Relaxed), "not yet");
                true
            })
        })
    });
    let waits = S.spawn(&CELLS, || QUEUE.wait_until(|| IS_SET.load(Relaxed)));
    S.run_until_idle();
    assert_eq!(panics.unwrap().try_join().unwrap(), "not yet");
    IS_SET.store(true, Relaxed);
    assert!(QUEUE.wake_one());
    S.run();
    assert_eq!(waits.unwrap().try_join().unwrap(), Ok(()));
}

/// A fiber is in no line while its condition runs, so what becomes of that does not matter to the others.
#[test]
fn a_fiber_that_is_dropped_within_its_condition_leaves_nothing_in_the_queue() {
    static STACK: Stack<65536> = Stack::new();
    world!(S, CELLS);
    static QUEUE: WaitQueue = WaitQueue::new();
    static IS_SET: AtomicBool = AtomicBool::new(false);
    let drops = S.spawn(&CELLS, || {
        let inner = |suspend: &Suspend<(), ()>, ()| {
            let _never = QUEUE.wait_until(|| {
                suspend.suspend(());
                true
            });
        };
        let mut fiber = Fiber::new(STACK.take().unwrap(), inner).unwrap();
        assert_eq!(fiber.resume(()), Resumed::Yielded(()));
        assert!(QUEUE.is_empty());
        drop(fiber);
    });
    let waits = S.spawn(&CELLS, || QUEUE.wait_until(|| IS_SET.load(Relaxed)));
    S.run_until_idle();
    drops.unwrap().try_join().unwrap();
    IS_SET.store(true, Relaxed);
    assert!(QUEUE.wake_one());
    S.run();
    assert_eq!(waits.unwrap().try_join().unwrap(), Ok(()));
}

#[test]
fn a_wake_at_the_moment_of_a_cancellation_is_looked_at_and_used() {
    world!(S, CELLS);
    static QUEUE: WaitQueue = WaitQueue::new();
    static TICKETS: AtomicU32 = AtomicU32::new(0);
    fn take() -> bool {
        TICKETS.swap(0, Relaxed) == 1
    }
    let first = S.spawn(&CELLS, || QUEUE.wait_until(take)).unwrap();
    let second = S.spawn(&CELLS, || QUEUE.wait_until(take)).unwrap();
    S.run_until_idle();
    TICKETS.store(1, Relaxed);
    first.cancel();
    assert!(QUEUE.wake_one());
    S.run_until_idle();
    assert_eq!(first.try_join().unwrap(), Ok(()));
    TICKETS.store(1, Relaxed);
    assert!(QUEUE.wake_one());
    S.run();
    assert_eq!(second.try_join().unwrap(), Ok(()));
}

#[test]
fn a_wake_at_the_deadline_is_looked_at_and_used() {
    world!(S, CELLS);
    static QUEUE: WaitQueue = WaitQueue::new();
    static TICKETS: AtomicU32 = AtomicU32::new(0);
    fn take() -> bool {
        TICKETS.swap(0, Relaxed) == 1
    }
    let first = S
        .spawn(&CELLS, || QUEUE.wait_until_deadline(10, take))
        .unwrap();
    let second = S
        .spawn(&CELLS, || QUEUE.wait_until_deadline(10, take))
        .unwrap();
    S.run_until_idle();
    S.platform().advance(10);
    TICKETS.store(1, Relaxed);
    assert!(QUEUE.wake_one());
    S.run();
    assert_eq!(first.try_join().unwrap(), Ok(()));
    assert_eq!(second.try_join().unwrap(), Err(WaitError::TimedOut));
    assert!(QUEUE.is_empty());
}

#[test]
fn a_wake_for_another_while_it_looks_makes_a_fiber_look_again() {
    world!(S, CELLS, LOG);
    static QUEUE: WaitQueue = WaitQueue::new();
    static TICKETS: AtomicU32 = AtomicU32::new(0);
    S.spawn(&CELLS, || {
        QUEUE.wait().unwrap();
        LOG.say("first");
    })
    .unwrap()
    .detach();
    S.run_until_idle();
    let looks = S.spawn(&CELLS, || {
        let mut looks = 0;
        QUEUE
            .wait_until(|| {
                looks += 1;
                if looks == 1 {
                    TICKETS.store(1, Relaxed);
                    assert!(QUEUE.wake_one(), "the first");
                    return false;
                }
                TICKETS.swap(0, Relaxed) == 1
            })
            .unwrap();
        looks
    });
    S.run();
    assert_eq!(looks.unwrap().try_join().unwrap(), 2);
    assert_eq!(LOG.all(), "first");
}

#[test]
fn those_that_wait_keep_their_places_when_another_fiber_fails() {
    world!(S, CELLS, LOG);
    static QUEUE: WaitQueue = WaitQueue::new();
    static TICKETS: AtomicU32 = AtomicU32::new(0);
    static LOOKS: AtomicU32 = AtomicU32::new(0);
    S.set_hooks(&Ignore).unwrap();
    for number in 0..4 {
        // The urgent look first when they are woken, but have waited less long.
        let builder = S.builder().priority(Priority::new(10 + number).unwrap());
        builder
            .spawn(&CELLS, move || {
                let take = || {
                    LOOKS.fetch_add(1, Relaxed);
                    TICKETS.load(Relaxed) > 0
                };
                QUEUE.wait_until(take).unwrap();
                TICKETS.fetch_sub(1, Relaxed);
                LOG.say(number);
            })
            .unwrap()
            .detach();
        S.run_until_idle();
    }
    let looks = LOOKS.load(Relaxed);
    S.spawn(&CELLS, || panic!("one that has nothing to do with them"))
        .unwrap()
        .detach();
    S.run_until_idle();
    assert_eq!(LOOKS.load(Relaxed), looks + 4, "all look again");
    for _ in 0..4 {
        TICKETS.fetch_add(1, Relaxed);
        assert!(QUEUE.wake_one());
        S.run_until_idle();
    }
    S.run();
    assert_eq!(LOG.all(), "0 1 2 3");
}

#[test]
fn a_condition_may_wait_itself() {
    world!(S, CELLS);
    static OUTER: WaitQueue = WaitQueue::new();
    static INNER: WaitQueue = WaitQueue::new();
    let fiber = S
        .spawn(&CELLS, || OUTER.wait_until(|| INNER.wait().is_ok()))
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
    let _never = WaitQueue::new().wait_until(|| true);
}

#[test]
fn waiting_in_an_interrupt_handler_panics_and_leaves_nothing() {
    world!(S, CELLS);
    static QUEUE: WaitQueue = WaitQueue::new();
    let fiber = S
        .spawn(&CELLS, || {
            Host::interrupt(|| panic_of(|| QUEUE.wait_until(|| false)))
        })
        .unwrap();
    S.run();
    let message = fiber.try_join().unwrap();
    assert!(message.contains("in an interrupt handler"), "{message}");
    assert!(QUEUE.is_empty());
}
