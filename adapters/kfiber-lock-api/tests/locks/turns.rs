//! Who gets a lock, in which order, and until when others wait.

use crate::MILLISECOND;
use crate::world::{World, settle};
use kfiber::scheduler;
use kfiber_lock_api::{Mutex, MutexGuard, RwLock, RwLockWriteGuard};
use std::sync::Arc;

#[test]
fn a_mutex_admits_one_fiber_at_a_time_in_the_order_of_arrival() {
    let world = World::new();
    let value = Arc::new(Mutex::new(0));
    for name in ["a", "b", "c"] {
        let (value, say) = (Arc::clone(&value), world.say());
        world
            .spawn(name, move || {
                for _ in 0..2 {
                    let mut guard = value.lock();
                    let before = *guard;
                    scheduler::yield_now();
                    *guard = before + 1;
                    say(name);
                }
            })
            .detach();
    }
    world.scheduler.run();
    assert_eq!(world.said(), "a b c a b c");
    assert_eq!(*Arc::into_inner(value).unwrap().get_mut(), 6);
}

#[test]
fn guards_of_parts_and_of_locks_without_fairness_do_the_same() {
    let world = World::new();
    let value = Arc::new(Mutex::new((1, 2)));
    let other = Arc::clone(&value);
    let say = world.say();
    world
        .spawn("first", move || {
            let mut guard = value.lock();
            guard.0 = 5;
            settle();
            MutexGuard::bump(&mut guard); // the other one has it in between
            assert_eq!(*guard, (5, 7));
            say("first");
            MutexGuard::unlock_fair(guard);
            assert!(!value.is_locked());
        })
        .detach();
    let say = world.say();
    world
        .spawn("second", move || {
            let mut part = MutexGuard::map(other.lock(), |pair| &mut pair.1);
            *part += 5;
            settle();
            assert!(other.is_locked() && other.try_lock().is_none());
            say("second");
        })
        .detach();
    world.scheduler.run();
    assert_eq!(world.said(), "second first");
}

#[test]
fn a_wait_with_a_deadline_ends_at_it_and_not_before() {
    let world = World::new();
    let value = Arc::new((Mutex::new(0), RwLock::new(0)));
    let other = Arc::clone(&value);
    world
        .spawn("holder", move || {
            let _guards = (value.0.lock(), value.1.write());
            scheduler::sleep(10 * MILLISECOND).unwrap();
        })
        .detach();
    let waiter = world.spawn("waiter", move || {
        let mut times = Vec::new();
        assert!(other.0.try_lock_for(MILLISECOND).is_none());
        times.push(scheduler::now());
        assert!(other.0.try_lock_until(2_000_000).is_none());
        times.push(scheduler::now());
        assert!(other.1.try_read_for(MILLISECOND).is_none());
        times.push(scheduler::now());
        assert!(other.1.try_write_until(4_000_000).is_none());
        times.push(scheduler::now());
        assert!(other.0.try_lock_for(20 * MILLISECOND).is_some());
        assert!(other.1.try_write_for(20 * MILLISECOND).is_some());
        assert!(other.1.try_read_until(20_000_000).is_some());
        times.push(scheduler::now());
        times
    });
    world.scheduler.run();
    let expected = [1, 2, 3, 4, 10].map(|millisecond| millisecond * 1_000_000);
    assert_eq!(waiter.try_join().unwrap(), expected);
}

#[test]
fn readers_share_a_lock_and_a_writer_is_alone() {
    let world = World::new();
    let value = Arc::new(RwLock::new(0));
    for name in ["r1", "r2"] {
        let (value, say) = (Arc::clone(&value), world.say());
        world
            .spawn(name, move || {
                let guard = value.read();
                settle(); // the writer waits by now
                assert!(value.is_locked() && !value.is_locked_exclusive());
                assert!(value.try_read().is_none(), "the writer came before");
                assert!(value.try_write().is_none(), "we read");
                say(name);
                drop(guard);
            })
            .detach();
    }
    let (writer, say) = (Arc::clone(&value), world.say());
    world
        .spawn("writer", move || {
            let mut guard = writer.write();
            *guard += 1;
            assert!(writer.is_locked_exclusive() && writer.try_read().is_none());
            say("writer");
            let guard = RwLockWriteGuard::downgrade(guard);
            assert!(!writer.is_locked_exclusive() && writer.try_read().is_some());
            assert_eq!(*guard, 1);
        })
        .detach();
    world.scheduler.run();
    assert_eq!(world.said(), "r1 r2 writer");
    assert!(!value.is_locked());
    world.alone(move || {
        let readers = (value.try_read().unwrap(), value.try_read().unwrap());
        assert!(value.try_write().is_none());
        drop(readers);
        let writer = value.try_write().unwrap();
        assert!(value.try_read().is_none() && value.try_write().is_none());
        drop(writer);
    });
}

#[test]
fn no_other_writer_gets_in_when_one_is_downgraded() {
    let world = World::new();
    let value = Arc::new(RwLock::new(0));
    let (other, say) = (Arc::clone(&value), world.say());
    world
        .spawn("first", move || {
            let mut guard = value.write();
            settle(); // the second one waits by now
            *guard = 1;
            let guard = RwLockWriteGuard::downgrade(guard);
            settle();
            assert_eq!(*guard, 1);
            say("first");
        })
        .detach();
    let say = world.say();
    world
        .spawn("second", move || {
            *other.write() = 2;
            say("second");
        })
        .detach();
    world.scheduler.run();
    assert_eq!(world.said(), "first second");
}
