//! Priority inheritance through mutexes.

use crate::{settle, world};
use kfiber::platform::Host;
use kfiber::scheduler::{self, FiberId, Priority, Scheduler};
use kfiber::sync::{Mutex, Semaphore};

const LOW: Priority = Priority::new(5).unwrap();
const MIDDLE: Priority = Priority::new(10).unwrap();
const HIGH: Priority = Priority::new(20).unwrap();
const TOP: Priority = Priority::new(30).unwrap();

fn priority_of(scheduler: &'static Scheduler<Host>, id: FiberId) -> u8 {
    let mut fibers = scheduler.fibers();
    fibers.find(|info| info.id == id).unwrap().priority.level()
}

#[test]
fn an_owner_runs_before_those_in_between() {
    world!(S, CELLS, LOG);
    static VALUE: Mutex<()> = Mutex::new(());
    S.builder()
        .priority(LOW)
        .spawn(&CELLS, || {
            let guard = VALUE.lock();
            for (name, priority) in [("middle", MIDDLE), ("high", HIGH)] {
                S.builder()
                    .priority(priority)
                    .spawn(&CELLS, move || {
                        if name == "high" {
                            let _guard = VALUE.lock();
                            LOG.say(name);
                        } else {
                            scheduler::yield_now();
                            LOG.say(name);
                        }
                    })
                    .unwrap()
                    .detach();
            }
            settle();
            LOG.say("owner");
            drop(guard);
            settle();
            LOG.say("low");
        })
        .unwrap()
        .detach();
    S.run();
    assert_eq!(LOG.all(), "owner high middle low");
}

#[test]
fn it_goes_along_a_chain_of_owners_and_back() {
    world!(S, CELLS, LOG);
    static A: Mutex<()> = Mutex::new(());
    static B: Mutex<()> = Mutex::new(());
    let first = S
        .builder()
        .priority(LOW)
        .spawn(&CELLS, || {
            let guard = A.lock();
            scheduler::sleep_until(50).unwrap();
            drop(guard);
            LOG.say("first");
        })
        .unwrap();
    let second = S
        .builder()
        .priority(MIDDLE)
        .spawn(&CELLS, || {
            scheduler::sleep_until(10).unwrap();
            let guard = B.lock();
            let inner = A.lock();
            drop((inner, guard));
            LOG.say("second");
        })
        .unwrap();
    let third = S
        .builder()
        .priority(HIGH)
        .spawn(&CELLS, || {
            scheduler::sleep_until(20).unwrap();
            drop(B.lock());
            LOG.say("third");
        })
        .unwrap();
    let watch = S
        .builder()
        .priority(TOP)
        .spawn(&CELLS, move || {
            let ids = [first.id(), second.id(), third.id()];
            let mut seen = Vec::new();
            for moment in [15, 25, 60] {
                scheduler::sleep_until(moment).unwrap();
                seen.push(ids.map(|id| priority_of(&S, id)));
            }
            for fiber in [first, second, third] {
                fiber.join().unwrap();
            }
            seen
        })
        .unwrap();
    S.run();
    assert_eq!(
        watch.try_join().unwrap(),
        [[10, 10, 20], [20, 20, 20], [5, 10, 20]]
    );
    assert_eq!(LOG.all(), "first second third");
}

#[test]
fn it_ends_when_the_waiter_gives_up() {
    world!(S, CELLS);
    static A: Mutex<()> = Mutex::new(());
    static B: Mutex<()> = Mutex::new(());
    let owner = S
        .builder()
        .priority(LOW)
        .spawn(&CELLS, || {
            let guards = (A.lock(), B.lock());
            scheduler::sleep_until(100).unwrap();
            drop(guards);
        })
        .unwrap();
    for (priority, mutex, deadline) in [(HIGH, &A, 20), (TOP, &A, 10), (MIDDLE, &B, 30)] {
        S.builder()
            .priority(priority)
            .spawn(&CELLS, move || {
                scheduler::sleep_until(1).unwrap();
                assert!(mutex.lock_until(deadline).is_err());
            })
            .unwrap()
            .detach();
    }
    let watch = S
        .builder()
        .priority(Priority::HIGHEST)
        .spawn(&CELLS, move || {
            let id = owner.id();
            let seen = [0, 5, 15, 25, 35].map(|moment| {
                scheduler::sleep_until(moment).unwrap();
                settle();
                priority_of(&S, id)
            });
            owner.join().unwrap();
            seen
        })
        .unwrap();
    S.run();
    assert_eq!(watch.try_join().unwrap(), [5, 30, 20, 10, 5]);
}

#[test]
fn the_next_owner_inherits_from_those_behind_it() {
    world!(S, CELLS);
    static VALUE: Mutex<()> = Mutex::new(());
    static DONE: Semaphore = Semaphore::new(0);
    let hold_until = |moment| {
        move || {
            let guard = VALUE.lock();
            scheduler::sleep_until(moment).unwrap();
            drop(guard);
            DONE.acquire().unwrap();
        }
    };
    let fibers = [(LOW, 10), (MIDDLE, 20), (HIGH, 30)].map(|(priority, moment)| {
        let fiber = S
            .builder()
            .priority(priority)
            .spawn(&CELLS, hold_until(moment))
            .unwrap();
        S.run_until_idle();
        fiber
    });
    let watch = S
        .builder()
        .priority(TOP)
        .spawn(&CELLS, move || {
            let ids = fibers.each_ref().map(|fiber| fiber.id());
            let mut seen = Vec::new();
            for moment in [5, 15, 25, 35] {
                scheduler::sleep_until(moment).unwrap();
                seen.push(ids.map(|id| priority_of(&S, id)));
            }
            DONE.release(3).unwrap();
            seen
        })
        .unwrap();
    S.run();
    assert_eq!(
        watch.try_join().unwrap(),
        [[20, 10, 20], [5, 20, 20], [5, 10, 20], [5, 10, 20]]
    );
}

#[test]
fn several_mutexes_count_each() {
    world!(S, CELLS);
    static A: Mutex<()> = Mutex::new(());
    static B: Mutex<()> = Mutex::new(());
    let owner = S
        .builder()
        .priority(LOW)
        .spawn(&CELLS, || {
            let a = A.lock();
            let b = B.lock();
            scheduler::sleep_until(10).unwrap();
            let level = || priority_of(&S, scheduler::current().unwrap());
            let both = level();
            drop(b);
            let only_a = level();
            drop(a);
            [both, only_a, level()]
        })
        .unwrap();
    for (priority, mutex) in [(HIGH, &A), (TOP, &B)] {
        S.builder()
            .priority(priority)
            .spawn(&CELLS, move || {
                scheduler::sleep_until(1).unwrap();
                drop(mutex.lock());
            })
            .unwrap()
            .detach();
    }
    S.run();
    assert_eq!(owner.try_join().unwrap(), [30, 20, 5]);
}

#[test]
fn a_ready_owner_changes_its_ring_and_comes_back() {
    world!(S, CELLS, LOG);
    static VALUE: Mutex<()> = Mutex::new(());
    S.builder()
        .priority(LOW)
        .spawn(&CELLS, || {
            let guard = VALUE.lock();
            for (name, priority) in [("other", LOW), ("high", HIGH)] {
                S.builder()
                    .priority(priority)
                    .spawn(&CELLS, move || {
                        let _guard = (name == "high").then(|| VALUE.lock());
                        LOG.say(name);
                    })
                    .unwrap()
                    .detach();
            }
            // From here on it is ready, behind the other.
            scheduler::yield_now();
            LOG.say("owner");
            drop(guard);
            scheduler::yield_now();
            LOG.say("owner");
        })
        .unwrap()
        .detach();
    S.run();
    assert_eq!(LOG.all(), "owner high other owner");
}

#[test]
fn a_guard_leaked_by_a_fiber_that_ended_harms_no_other_fiber() {
    world!(S, CELLS, LOG);
    static VALUE: Mutex<()> = Mutex::new(());
    S.builder()
        .priority(LOW)
        .spawn(&CELLS, || {
            let _leaked = core::mem::ManuallyDrop::new(VALUE.lock());
            S.builder()
                .priority(HIGH)
                .spawn(&CELLS, || {
                    assert!(VALUE.lock_until(10).is_err());
                    LOG.say("gave up");
                })
                .unwrap()
                .detach();
            settle();
        })
        .unwrap()
        .detach();
    S.run();
    // In the cell of the one that leaked it:
    S.spawn(&CELLS, || {
        settle();
        LOG.say("next");
    })
    .unwrap()
    .detach();
    S.builder()
        .priority(HIGH)
        .spawn(&CELLS, || assert!(VALUE.lock_until(20).is_err()))
        .unwrap()
        .detach();
    S.run();
    assert_eq!(LOG.all(), "gave up next");
}

#[test]
fn a_mutex_that_nobody_waits_for_any_more_may_go_though_its_guard_was_leaked() {
    world!(S, CELLS);
    static OTHER: Mutex<()> = Mutex::new(());
    S.builder()
        .priority(LOW)
        .spawn(&CELLS, || {
            let mutex = Box::new(Mutex::new(()));
            let _leaked = core::mem::ManuallyDrop::new(mutex.lock());
            scheduler::scope(|scope| {
                let waiter = scope.spawn(&CELLS, || assert!(mutex.lock_until(10).is_err()));
                waiter.unwrap().detach();
            });
            drop(mutex);
            // The level is computed afresh: from mutexes that are still there.
            let guard = OTHER.lock();
            S.builder()
                .priority(HIGH)
                .spawn(&CELLS, || drop(OTHER.lock()))
                .unwrap()
                .detach();
            settle();
            let inherited = priority_of(&S, scheduler::current().unwrap());
            drop(guard);
            assert_eq!(inherited, HIGH.level());
        })
        .unwrap()
        .detach();
    S.run();
}
