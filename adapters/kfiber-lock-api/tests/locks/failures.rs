//! What a failed holder, a deadlock and a misuse mean.
#![expect(clippy::mem_forget, reason = "a fiber that fails drops no guard")]

use crate::MILLISECOND;
use crate::world::{World, failure_of};
use core::cell::Cell;
use core::mem;
use kfiber::platform::{Host, Platform};
use kfiber::scheduler;
use kfiber_lock_api::lock_api;
use kfiber_lock_api::{
    Mutex, MutexGuard, RawMutex, RawRwLock, ReentrantMutex, RwLock, RwLockReadGuard,
};
use lock_api::{GuardNoSend, RawMutex as _, RawRwLock as _};
use std::sync::{Arc, Mutex as HostMutex};

#[test]
fn whoever_waits_for_the_mutex_of_a_failed_fiber_is_told_who_failed() {
    let world = World::new();
    let value = Arc::new(Mutex::new(7));
    let fails = Arc::clone(&value);
    world
        .spawn("bad", move || {
            mem::forget(fails.lock()); // as on the bare machine, where nothing is unwound
            scheduler::yield_now();
            panic!("by plan");
        })
        .detach();
    let waits = Arc::clone(&value);
    let waits = world.spawn("waits", move || *waits.lock());
    let asks = Arc::clone(&value);
    let asks = world.spawn("asks", move || {
        asks.try_lock_for(MILLISECOND).map(|value| *value)
    });
    world.scheduler.run();
    for failure in [failure_of(waits), failure_of(asks)] {
        assert!(
            failure.contains("a mutex is poisoned: fiber \"bad\", which"),
            "{failure}"
        );
        assert!(failure.contains("by plan"), "{failure}");
    }
    assert_eq!(
        world.scheduler.platform().now(),
        0,
        "nobody waited for a deadline"
    );
    let late = world.alone(move || {
        // SAFETY: we unlock nothing through it.
        let raw = unsafe { value.raw() };
        assert!(value.is_locked() && raw.is_poisoned() && value.try_lock().is_none());
        assert!(raw.owner().is_some());
        // SAFETY: a number, which nobody else uses.
        assert!(unsafe { raw.clear_poison() });
        // SAFETY: as above.
        assert!(!raw.is_poisoned() && !unsafe { raw.clear_poison() });
        *value.lock()
    });
    assert_eq!(late, 7);
}

#[test]
fn whoever_waits_for_the_lock_of_a_failed_writer_is_told() {
    let world = World::new();
    let value = Arc::new(RwLock::new(7));
    let fails = Arc::clone(&value);
    world
        .spawn("bad", move || {
            mem::forget(fails.write());
            scheduler::yield_now();
            panic!("by plan");
        })
        .detach();
    let [reads, writes, late] = [(); 3].map(|()| Arc::clone(&value));
    let reads = world.spawn("reads", move || *reads.read());
    let writes = world.spawn("writes", move || {
        *writes.try_write_for(MILLISECOND).unwrap() = 0;
    });
    world.scheduler.run();
    for failure in [failure_of(reads), failure_of(writes)] {
        assert!(
            failure.contains("a reader-writer lock is poisoned"),
            "{failure}"
        );
    }
    let late = world.alone(move || {
        // SAFETY: we unlock nothing through it.
        let raw = unsafe { late.raw() };
        assert!(late.try_read().is_none() && raw.is_poisoned());
        // SAFETY: a number, which nobody else uses.
        assert!(unsafe { raw.clear_poison() });
        *late.read()
    });
    assert_eq!(late, 7);
}

/// The guard is still there when it cannot lock again, and is dropped by unwinding.
#[test]
fn a_guard_that_cannot_lock_again_unlocks_nothing() {
    let world = World::new();
    let locks = Arc::new((Mutex::new(0), RwLock::new(0)));
    let other = Arc::clone(&locks);
    let bumps = Arc::clone(&locks);
    let bumps = world.spawn("bumps", move || {
        let mut guard = bumps.0.lock();
        scheduler::yield_now();
        MutexGuard::bump(&mut guard);
    });
    let aside = Arc::clone(&locks);
    let aside = world.spawn("aside", move || {
        let mut guard = aside.1.read();
        scheduler::yield_now();
        RwLockReadGuard::unlocked(&mut guard, scheduler::yield_now);
    });
    let bad = world.spawn("bad", move || {
        mem::forget((other.0.lock(), other.1.write()));
        scheduler::yield_now();
        panic!("by plan");
    });
    world.scheduler.run();
    assert!(failure_of(bumps).contains("a mutex is poisoned"));
    assert!(failure_of(aside).contains("a reader-writer lock is poisoned"));
    assert!(failure_of(bad).contains("by plan"));
    assert!(locks.0.is_locked() && locks.1.is_locked_exclusive());
}

/// There are more readers than the lock records, and one of those that it only counts gives up while it unwinds.
#[test]
fn a_reader_that_cannot_lock_again_takes_no_place_of_another() {
    fn pause(turns: u32) {
        (0..turns).for_each(|_| scheduler::yield_now());
    }

    let world = World::new();
    let value = Arc::new((RwLock::new(0), Mutex::new(())));
    for name in ["first", "second", "third", "fourth", "counted"] {
        let value = Arc::clone(&value);
        let reads = move || {
            let guard = value.0.read();
            pause(5);
            if name == "first" {
                drop(value.1.lock()); // so that the writer waits for one who waits for "aside"
            }
            pause(if name == "counted" { 50 } else { 10 });
            assert_eq!(*guard, 0, "nobody writes while we read");
        };
        world.spawn(name, reads).detach();
    }
    let aside = Arc::clone(&value);
    let aside = world.spawn("aside", move || {
        let _other = aside.1.lock();
        let mut guard = aside.0.read();
        RwLockReadGuard::unlocked(&mut guard, || pause(10));
    });
    let writer = Arc::clone(&value);
    let writer = world.spawn("writer", move || {
        pause(2);
        *writer.0.write() = 1;
    });
    world.scheduler.run();
    assert!(failure_of(aside).contains("deadlock"));
    writer.try_join().expect("it wrote in the end");
    let failures = world.reports.0.lock().unwrap();
    let failures = failures
        .iter()
        .filter(|report| report.contains(" panicked: "));
    assert_eq!(failures.count(), 1, "only \"aside\" failed");
    assert!(!value.0.is_locked());
}

#[test]
fn a_deadlock_names_the_fibers_and_the_places_of_their_calls() {
    let world = World::new();
    let locks = Arc::new((Mutex::new(()), RwLock::new(())));
    let other = Arc::clone(&locks);
    let left = line!() + 4;
    let left_fiber = world.spawn("left", move || {
        let _first = locks.0.lock();
        scheduler::yield_now();
        drop(locks.1.write());
    });
    let right = line!() + 4;
    let right_fiber = world.spawn("right", move || {
        let _first = other.1.read();
        scheduler::yield_now();
        drop(other.0.lock());
    });
    world.scheduler.run();
    let report = world.reports.0.lock().unwrap().remove(0);
    assert!(
        report.starts_with("deadlock: 2 fibers wait for each other"),
        "{report}"
    );
    for part in [
        "\"left\"".to_owned(),
        "\"right\"".to_owned(),
        format!("locks/failures.rs:{left}:"),
        format!("locks/failures.rs:{right}:"),
    ] {
        assert!(report.contains(&part), "{part} is not in {report}");
    }
    failure_of(right_fiber);
    left_fiber.try_join().expect("the other one was unwound");
}

#[test]
fn a_fiber_that_locks_twice_is_told_so_and_a_reentrant_mutex_is_made_for_it() {
    let world = World::new();
    let twice = world.spawn("twice", || {
        let value = Mutex::new(());
        let _guard = value.lock();
        drop(value.lock());
    });
    world.scheduler.run();
    assert!(failure_of(twice).contains("would wait for itself"));

    let value = Arc::new(ReentrantMutex::new(HostMutex::new(Vec::new())));
    for name in ["a", "b"] {
        let value = Arc::clone(&value);
        world
            .spawn(name, move || {
                let outer = value.lock();
                outer.lock().unwrap().push(name);
                scheduler::yield_now();
                let inner = value.try_lock().expect("we have it already");
                drop(outer);
                scheduler::yield_now();
                inner.lock().unwrap().push(name);
            })
            .detach();
    }
    world.scheduler.run();
    let value = Arc::into_inner(value).unwrap().into_inner();
    assert_eq!(value.into_inner().unwrap(), ["a", "a", "b", "b"]);
}

#[test]
fn an_interrupt_handler_is_not_the_fiber_that_it_interrupts() {
    static VALUE: ReentrantMutex<Cell<u32>> = ReentrantMutex::new(Cell::new(0));
    let world = World::new();
    let fiber = world.spawn("interrupted", || {
        let value = VALUE.lock();
        // In the middle of whatever is done with it.
        for handler in [
            (|| drop(VALUE.lock())) as fn(),
            || drop(VALUE.try_lock()),
            || drop(VALUE.try_lock_for(MILLISECOND)),
        ] {
            assert!(std::panic::catch_unwind(|| Host::interrupt(handler)).is_err());
        }
        value.set(value.get() + 1);
        VALUE.lock().get()
    });
    world.scheduler.run();
    assert_eq!(fiber.try_join().expect("it goes on"), 1);
}

#[test]
fn outside_of_fibers_nothing_can_be_locked_and_guards_stay_in_their_fiber() {
    const fn marker<R: lock_api::RawMutex<GuardMarker = GuardNoSend>>() {}
    const fn shared<R: lock_api::RawRwLock<GuardMarker = GuardNoSend>>() {}
    marker::<RawMutex>();
    shared::<RawRwLock>();
    let (mutex, rw_lock) = (RawMutex::INIT, RawRwLock::INIT);
    assert!(!mutex.is_locked() && !rw_lock.is_locked());
    for lock in [
        (|| drop(Mutex::new(()).lock())) as fn(),
        || drop(Mutex::new(()).try_lock()),
        || drop(RwLock::new(()).read()),
        || drop(RwLock::new(()).write()),
        || drop(ReentrantMutex::new(()).lock()),
        || drop(Mutex::new(()).try_lock_for(MILLISECOND)),
    ] {
        assert!(std::panic::catch_unwind(lock).is_err());
    }
}
