//! The locks on the host: who gets them, how long they are waited for, and what a failed holder or a deadlock means.
#![expect(clippy::unwrap_used, reason = "a test says what failed by its line")]
#![expect(clippy::mem_forget, reason = "a fiber that fails drops no guard")]

use core::mem;
use core::time::Duration;
use kfiber::platform::{Host, Platform};
use kfiber::scheduler::{self, FiberPool, Hooks, JoinErrorKind, JoinHandle, Report, Scheduler};
use kfiber_lock_api::{
    Mutex, MutexGuard, RawMutex, RawRwLock, ReentrantMutex, RwLock, RwLockWriteGuard,
};
use lock_api::{GuardNoSend, RawMutex as _, RawRwLock as _};
use std::sync::{Arc, Mutex as HostMutex};

const MILLISECOND: Duration = Duration::from_millis(1);

/// A scheduler and its cells, which lets fibers fail.
struct World {
    scheduler: &'static Scheduler<Host>,
    cells: &'static FiberPool<65536, 8>,
    reports: &'static Reports,
    log: Arc<HostMutex<Vec<String>>>,
}

/// Remembers what is reported.
#[derive(Default)]
struct Reports(HostMutex<Vec<String>>);

impl Hooks for Reports {
    fn report(&self, report: &Report<'_>) {
        self.0.lock().unwrap().push(report.to_string());
    }
}

impl World {
    fn new() -> Self {
        let scheduler: &'static _ = Box::leak(Box::new(Scheduler::new(Host::new())));
        let reports: &'static _ = Box::leak(Box::new(Reports::default()));
        scheduler.set_hooks(reports).unwrap();
        Self {
            reports,
            scheduler,
            cells: Box::leak(Box::new(FiberPool::new())),
            log: Arc::default(),
        }
    }

    fn spawn<T: Send + 'static>(
        &self,
        name: &'static str,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let builder = self.scheduler.builder().name(name);
        builder.spawn(self.cells, f).unwrap()
    }

    /// Runs a fiber alone.
    fn alone<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
        let fiber = self.spawn("alone", f);
        self.scheduler.run();
        fiber.try_join().unwrap()
    }

    fn say(&self) -> impl Fn(&str) + Send + 'static {
        let log = Arc::clone(&self.log);
        move |word| log.lock().unwrap().push(word.to_owned())
    }

    fn said(&self) -> String {
        self.log.lock().unwrap().join(" ")
    }
}

#[track_caller]
fn failure_of<T>(handle: JoinHandle<T>) -> String {
    match handle.try_join().map(|_| ()).map_err(|error| error.kind) {
        Err(JoinErrorKind::Failed(failure)) => failure.to_string(),
        other => panic!("it was to fail: {other:?}"),
    }
}

fn settle() {
    (0..10).for_each(|_| scheduler::yield_now());
}

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
}

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
        format!("tests/locks.rs:{left}:"),
        format!("tests/locks.rs:{right}:"),
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
