//! What is left of an inherited priority when the one who lent it gives up.

use crate::world;
use core::time::Duration;
use kfiber::platform::Host;
use kfiber::scheduler::{self, Priority};
use kfiber::sync::{Mutex, MutexGuard};

const HIGH: Priority = Priority::new(20).unwrap();
const TOP: Priority = Priority::new(30).unwrap();

#[test]
fn who_lends_a_level_and_takes_it_back_takes_no_turn_with_it() {
    world!(S, CELLS, LOG);
    static VALUE: Mutex<()> = Mutex::new(());
    let owner = S
        .spawn(&CELLS, || {
            let guard = VALUE.lock();
            scheduler::yield_now();
            LOG.say("owner");
            drop(guard);
        })
        .unwrap();
    let lender = S
        .builder()
        .priority(HIGH)
        .spawn(&CELLS, || {
            for _ in 0..3 {
                if scheduler::park().is_err() {
                    break;
                }
                let _refused = VALUE.lock_timeout(Duration::ZERO).is_err();
            }
        })
        .unwrap();
    let unparker = lender.unparker();
    S.spawn(&CELLS, move || {
        for _ in 0..3 {
            LOG.say("other");
            unparker.unpark();
            scheduler::yield_now();
        }
        lender.cancel();
    })
    .unwrap()
    .detach();
    owner.detach();
    S.run();
    assert!(LOG.all().starts_with("other owner"), "{}", LOG.all());
}

/// Three of one level, of which the middle one or the last is lent a higher level, and loses it again before it runs.
fn orders_after_lending_to(owner: &'static str) -> String {
    world!(S, CELLS, LOG);
    static VALUE: Mutex<()> = Mutex::new(());
    let lender = S.builder().priority(HIGH).spawn(&CELLS, || {
        let _cancelled = scheduler::park();
        assert!(VALUE.lock_timeout(Duration::ZERO).is_err(), "it is locked");
    });
    let lender = lender.unwrap();
    let lends = lender.unparker();
    lender.detach();
    for name in ["a", "b", "c"] {
        let run = move || {
            let guard = (name == owner).then(|| VALUE.lock());
            scheduler::yield_now();
            LOG.say(name);
            if name == "a" {
                lends.unpark();
            }
            scheduler::yield_now();
            LOG.say(name);
            drop(guard);
        };
        S.spawn(&CELLS, run).unwrap().detach();
    }
    S.run();
    LOG.take()
}

#[test]
fn who_goes_back_to_its_level_before_it_ran_has_its_place_there() {
    // `a` says so, and lends when it yields; the ring is then `b`, `c`, `a`.
    for owner in ["a", "b", "c"] {
        assert_eq!(orders_after_lending_to(owner), "a b c a b c", "{owner}");
    }
}

#[test]
fn who_ran_at_a_level_that_was_lent_does_not_go_back_behind_those_that_wait_for_it() {
    world!(S, CELLS, LOG);
    static VALUE: Mutex<()> = Mutex::new(());
    let lender = S.builder().priority(HIGH).spawn(&CELLS, || {
        let _cancelled = scheduler::park();
        let wait = VALUE.lock_timeout(Duration::from_nanos(5));
        assert!(wait.is_err(), "it is locked");
    });
    let lender = lender.unwrap();
    let lends = lender.unparker();
    lender.detach();
    let owner = S.spawn(&CELLS, move || {
        let guard = VALUE.lock();
        lends.unpark();
        scheduler::yield_now(); // now it is the last of its level, is lent a higher one, and runs at that
        let _cancelled = scheduler::park();
        LOG.say("owner");
        drop(guard);
    });
    let owner = owner.unwrap();
    let wakes = owner.unparker();
    owner.detach();
    let other = S.spawn(&CELLS, move || {
        S.platform().advance(10);
        Host::interrupt(|| {
            S.timer_interrupt();
            wakes.unpark();
        });
        LOG.say("other");
        scheduler::yield_now(); // first the lender gives up, and then it is the owner's turn
        LOG.say("other");
    });
    other.unwrap().detach();
    S.run();
    assert_eq!(LOG.all(), "other owner other");
}

/// A mutex whose last waiter has given up is no longer in its owner's list, so it may go away while the owner goes on.
#[test]
fn a_mutex_that_nobody_waits_for_any_more_may_be_replaced_by_another() {
    world!(S, CELLS);
    static SECOND: Mutex<()> = Mutex::new(());
    let owner = S.spawn(&CELLS, || {
        let own = || scheduler::current().unwrap();
        let level = || {
            let id = own();
            let info = S.fibers().find(|info| info.id == id).unwrap();
            info.priority
        };
        let mut first = Box::new(Mutex::new(()));
        let guard = first.lock();
        scheduler::scope(|scope| {
            let wait = || assert!(first.lock_timeout(Duration::from_nanos(5)).is_err());
            let waiter = scope.spawn_as(&CELLS, "waiter", TOP, wait).unwrap();
            waiter.join().unwrap();
        });
        #[expect(clippy::mem_forget, reason = "the owner never gives it back")]
        core::mem::forget::<MutexGuard<'_, ()>>(guard);
        // In the same place is now another, which is somebody else's, and wanted.
        *first = Mutex::new(());
        let before = level();
        let second = SECOND.lock();
        scheduler::scope(|scope| {
            let has = || {
                let guard = first.lock();
                assert!(scheduler::park().is_err(), "it is asked to end");
                drop(guard);
            };
            let has = scope.spawn(&CELLS, has).unwrap();
            scheduler::yield_now();
            let wants = || drop(first.lock());
            let wants = scope.spawn_as(&CELLS, "wants", TOP, wants).unwrap();
            scheduler::yield_now();
            // Has the owner's level computed afresh.
            let asks = || assert!(SECOND.lock_timeout(Duration::ZERO).is_err());
            let asks = scope.spawn_as(&CELLS, "asks", HIGH, asks).unwrap();
            asks.join().unwrap();
            assert_eq!(
                level(),
                before,
                "inherits from a mutex that it does not have"
            );
            assert!(S.fibers().any(|info| info.id == wants.id()));
            let id = has.id();
            let found = S.fibers().find(|info| info.id == id).unwrap();
            assert_eq!(found.priority, TOP);
            has.cancel();
            drop((has, wants));
        });
        drop(second);
    });
    owner.unwrap().detach();
    S.run();
}
