//! What becomes of a wake if the condition of its fiber unwinds, suspends, fails, or is asked too late.

use crate::{panic_of, settle, world};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use kfiber::fiber::{Fiber, Resumed, Yielder};
use kfiber::scheduler::{Hooks, JoinErrorKind, Priority, Report, WaitError};
use kfiber::stack::{Stack, Storage};
use kfiber::sync::WaitQueue;

/// With hooks, a fiber that panics fails alone.
struct Ignore;

impl Hooks for Ignore {
    fn report(&self, _report: &Report<'_>) {}
}

/// A condition that holds, and panics when it is asked for the `count`th time.
fn panics_when_asked(count: u32) -> impl FnMut() -> bool {
    let mut asked = 0;
    move || {
        asked += 1;
        assert!(asked < count, "asked {count} times");
        true
    }
}

#[test]
fn a_wake_goes_on_if_the_condition_panics_and_the_panic_is_caught() {
    world!(S, CELLS, LOG);
    static QUEUE: WaitQueue = WaitQueue::new();
    static IS_SET: AtomicBool = AtomicBool::new(false);
    S.spawn(&CELLS, || {
        LOG.say(panic_of(|| QUEUE.wait_while(panics_when_asked(2))));
        // It is as if it had never waited.
        QUEUE.wait_while(|| !IS_SET.load(Relaxed)).unwrap();
    })
    .unwrap()
    .detach();
    for name in ["second", "third"] {
        S.spawn(&CELLS, move || {
            QUEUE.wait_while(|| !IS_SET.load(Relaxed)).unwrap();
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
    let fails = S.spawn(&CELLS, || QUEUE.wait_while(panics_when_asked(2)));
    S.spawn(&CELLS, || {
        QUEUE.wait_while(|| !IS_SET.load(Relaxed)).unwrap();
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
            QUEUE.wait_while(|| {
                settle();
                assert!(IS_SET.load(Relaxed), "not yet");
                false
            })
        })
    });
    let waits = S.spawn(&CELLS, || QUEUE.wait_while(|| !IS_SET.load(Relaxed)));
    S.run_until_idle();
    assert_eq!(panics.unwrap().try_join().unwrap(), "not yet");
    IS_SET.store(true, Relaxed);
    assert!(QUEUE.wake_one());
    S.run();
    assert_eq!(waits.unwrap().try_join().unwrap(), Ok(()));
}

/// A fiber is in no line while its condition runs, so what becomes of that does not matter to the others.
#[test]
#[cfg_attr(
    any(miri, kfiber_threads),
    ignore = "with threads for fibers, a fiber inside is no scheduled one"
)]
fn a_fiber_that_is_dropped_within_its_condition_leaves_nothing_in_the_queue() {
    static STACK: Stack<65536> = Stack::new();
    world!(S, CELLS);
    static QUEUE: WaitQueue = WaitQueue::new();
    static IS_SET: AtomicBool = AtomicBool::new(false);
    let drops = S.spawn(&CELLS, || {
        let inner = |yielder: &Yielder<(), ()>, ()| {
            let _never = QUEUE.wait_while(|| {
                yielder.suspend(());
                false
            });
        };
        let mut fiber = Fiber::new(STACK.take().unwrap(), inner).unwrap();
        assert_eq!(fiber.resume(()), Resumed::Yielded(()));
        assert!(QUEUE.is_empty());
        drop(fiber);
    });
    let waits = S.spawn(&CELLS, || QUEUE.wait_while(|| !IS_SET.load(Relaxed)));
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
    let first = S.spawn(&CELLS, || QUEUE.wait_while(|| !take())).unwrap();
    let second = S.spawn(&CELLS, || QUEUE.wait_while(|| !take())).unwrap();
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
        .spawn(&CELLS, || QUEUE.wait_while_until(10, || !take()))
        .unwrap();
    let second = S
        .spawn(&CELLS, || QUEUE.wait_while_until(10, || !take()))
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
            .wait_while(|| {
                looks += 1;
                if looks == 1 {
                    TICKETS.store(1, Relaxed);
                    assert!(QUEUE.wake_one(), "the first");
                    return true;
                }
                TICKETS.swap(0, Relaxed) != 1
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
                QUEUE.wait_while(|| !take()).unwrap();
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
