//! A cycle of waits is reported where it closes, while others go on.

use crate::{World, panic_of};
use core::time::Duration;
use kfiber::scheduler::{self, AfterDeadlock, JoinErrorKind, JoinHandle, StallKind};
use kfiber::sync::{Condvar, Mutex, Once, RwLock, Semaphore};
use std::sync::Arc;

/// Locks two mutexes, lets the others run in between.
#[track_caller]
pub(crate) fn lock_both(first: &Mutex<()>, second: &Mutex<()>) {
    let _first = first.lock();
    scheduler::yield_now();
    let _second = second.lock();
}

pub(crate) fn mutexes<const COUNT: usize>() -> Arc<[Mutex<()>; COUNT]> {
    Arc::new([const { Mutex::new(()) }; COUNT])
}

#[test]
fn two_that_lock_in_opposite_order_are_named_with_places_and_owners() {
    let world = World::new();
    let locks = mutexes::<2>();
    let other = Arc::clone(&locks);
    let [left, right] = [line!() + 2, line!() + 5];
    world.spawn("left", move || {
        lock_both(&locks[0], &locks[1]);
    });
    world.spawn("right", move || {
        lock_both(&other[1], &other[0]);
    });
    let reports = world.run();
    let right = format!(
        "  \"right\" (@) waits for the mutex @ since t = 0.000 s at tests/stall/cycles.rs:{right}:9: \"left\" (@) holds it\n"
    );
    let left = format!(
        "  \"left\" (@) waits for the mutex @ since t = 0.000 s at tests/stall/cycles.rs:{left}:9: \"right\" (@) holds it"
    );
    assert_eq!(
        reports,
        [
            format!(
                "deadlock: 2 fibers wait for each other, and none of them can ever continue\n{right}{left}\n  \
                take locks in the same order everywhere, release all of them before joining a fiber, or wait with a deadline"
            ),
            format!(
                "stalled: 2 fibers wait, and nothing can ever wake them\n{right}{left}\n  \
                cycle: \"left\" (@) needs \"right\" (@) needs \"left\" (@)"
            ),
        ]
    );
}

#[test]
fn a_cycle_is_reported_while_others_go_on_and_only_once() {
    let world = World::new();
    let locks = mutexes::<2>();
    let other = Arc::clone(&locks);
    let third = Arc::clone(&locks);
    world.spawn("left", move || lock_both(&locks[0], &locks[1]));
    world.spawn("right", move || lock_both(&other[1], &other[0]));
    // Waits for one in the cycle, but is not in it.
    world.spawn("late", move || {
        scheduler::sleep(Duration::from_secs(1)).unwrap();
        drop(third[0].lock());
    });
    let (scheduler, kernel) = (world.scheduler, world.kernel);
    world.spawn("alive", move || {
        scheduler::sleep(Duration::from_secs(2)).unwrap();
        assert_eq!(kernel.reports.lock().unwrap().len(), 1);
        let stuck = scheduler.wait_graph(|graph| {
            let cycles: Vec<_> = graph.cycles().collect();
            assert_eq!(cycles.len(), 1);
            assert_eq!(cycles[0].fibers().count(), 2);
            let stuck = graph.fibers().filter(|fiber| fiber.is_stuck);
            stuck.collect::<Vec<_>>()
        });
        let stuck = stuck.unwrap();
        let names: Vec<_> = stuck.iter().map(|fiber| fiber.name).collect();
        assert_eq!(names, ["late", "right", "left"]);
        assert_eq!(stuck[0].since, 1_000_000_000);
    });
    let reports = world.run();
    assert_eq!(reports.len(), 2, "{reports:#?}");
    assert!(reports[1].contains("nothing can ever wake them"));
    assert!(reports[1].contains("\"late\" (@) waits for the mutex @ since t = 1.000 s at "));
}

#[test]
fn the_lock_that_closes_a_cycle_panics_where_the_kernel_says_nothing_else() {
    let world = World::answering(AfterDeadlock::Panic, None);
    let locks = mutexes::<2>();
    let other = Arc::clone(&locks);
    world.spawn("left", move || lock_both(&locks[0], &locks[1]));
    world.spawn("right", move || {
        let message = panic_of(|| lock_both(&other[1], &other[0]));
        assert!(
            message.starts_with("deadlock: 2 fibers wait for each other"),
            "{message}"
        );
    });
    let reports = world.run();
    assert_eq!(
        reports.len(),
        1,
        "right unlocked, and left went on: {reports:#?}"
    );
}

#[test]
fn a_deadline_in_the_cycle_is_no_deadlock() {
    let world = World::new();
    let locks = mutexes::<2>();
    let other = Arc::clone(&locks);
    world.spawn("patient", move || {
        let _first = locks[0].lock();
        scheduler::yield_now();
        locks[1].lock_timeout(Duration::from_secs(1)).unwrap_err();
    });
    world.spawn("other", move || lock_both(&other[1], &other[0]));
    assert_eq!(world.run(), [""; 0]);
}

/// A fiber whose handle the test has, made by the closure's maker.
fn joinable<T: Send + 'static>(
    world: &World,
    name: &'static str,
    body: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    world
        .scheduler
        .builder()
        .name(name)
        .spawn(world.cells, body)
        .unwrap()
}

#[test]
fn joining_one_that_waits_for_the_callers_mutex_is_refused() {
    let world = World::new();
    let locks = mutexes::<1>();
    let other = Arc::clone(&locks);
    let worker = joinable(&world, "worker", move || {
        scheduler::yield_now();
        drop(other[0].lock());
    });
    world.spawn("joiner", move || {
        let guard = locks[0].lock();
        scheduler::yield_now();
        scheduler::yield_now();
        let error = worker.join().unwrap_err();
        assert_eq!(error.kind, JoinErrorKind::Deadlock);
        drop(guard);
        error.handle.join().unwrap();
    });
    assert_eq!(world.run(), [""; 0]);
}

#[test]
fn locking_a_mutex_of_one_that_joins_the_caller_is_reported() {
    let world = World::new();
    let locks = mutexes::<1>();
    let other = Arc::clone(&locks);
    let worker = joinable(&world, "worker", move || {
        scheduler::yield_now();
        drop(other[0].lock());
    });
    world.spawn("joiner", move || {
        let _guard = locks[0].lock();
        let _result = worker.join();
    });
    let reports = world.run();
    assert!(
        reports[0].contains("\"joiner\" (@) waits to join since"),
        "{reports:#?}"
    );
    assert!(
        reports[0].contains(": \"worker\" (@) has not ended"),
        "{reports:#?}"
    );
}

#[test]
fn joining_one_that_joins_with_a_deadline_is_no_deadlock() {
    let world = World::new();
    let slot = Arc::new(std::sync::Mutex::new(None::<JoinHandle<()>>));
    let inner = Arc::clone(&slot);
    let patient = joinable(&world, "patient", move || {
        let other = inner.lock().unwrap().take().unwrap();
        let error = other.join_timeout(Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.kind, JoinErrorKind::TimedOut);
        error.handle.detach();
    });
    let other = joinable(&world, "other", move || patient.join().unwrap());
    *slot.lock().unwrap() = Some(other);
    assert_eq!(world.run(), [""; 0]);
}

#[test]
fn a_child_that_locks_what_its_scopes_owner_has_is_reported() {
    let world = World::new();
    let cells = world.cells;
    world.spawn("owner", move || {
        let lock = Mutex::new(());
        let _guard = lock.lock();
        scheduler::scope(|scope| {
            let body = || drop(lock.lock());
            let normal = scheduler::Priority::NORMAL;
            scope
                .spawn_as(cells, "idle", normal, || {
                    scheduler::sleep(Duration::from_secs(1))
                })
                .unwrap()
                .detach();
            scope
                .spawn_as(cells, "child", normal, body)
                .unwrap()
                .detach();
        });
    });
    let reports = world.run();
    assert_eq!(reports.len(), 2, "{reports:#?}");
    assert!(
        reports[0].contains("\"child\" (@) waits for the mutex @"),
        "{reports:#?}"
    );
    assert!(reports[0].contains(
        "\"owner\" (@) waits for the fibers of its scope since t = 0.000 s at tests/stall/cycles.rs"
    ));
    assert!(reports[0].contains(": 2 have not ended\n"), "{reports:#?}");
    assert!(
        reports[1].contains("cycle: \"owner\" (@) needs \"child\" (@) needs \"owner\" (@)")
            || reports[1].contains("cycle: \"child\" (@) needs \"owner\" (@) needs \"child\" (@)"),
        "{reports:#?}"
    );
}

#[test]
fn a_scope_whose_end_closes_the_cycle_is_reported() {
    let world = World::new();
    let cells = world.cells;
    world.spawn("owner", move || {
        let lock = Mutex::new(());
        let guard = lock.lock();
        scheduler::scope(|scope| {
            scope.spawn(cells, || drop(lock.lock())).unwrap().detach();
            scheduler::yield_now(); // the child waits for the mutex
        });
        drop(guard);
    });
    let reports = world.run();
    assert!(reports[0].starts_with("deadlock: 2 fibers"), "{reports:#?}");
    assert!(
        reports[0]
            .lines()
            .nth(1)
            .unwrap()
            .starts_with("  \"owner\" (@) waits for the fibers of its scope")
    );
}

#[test]
fn a_reader_that_wants_to_write_waits_for_itself() {
    let world = World::new();
    world.spawn("greedy", || {
        let lock = RwLock::new(());
        let _reads = lock.read();
        let _writes = lock.write();
    });
    let reports = world.run();
    assert!(
        reports[0].starts_with("deadlock: a fiber waits for itself\n"),
        "{reports:#?}"
    );
    assert!(
        reports[0].contains("\"greedy\" (@) waits to write the lock @"),
        "{reports:#?}"
    );
}

#[test]
fn a_writer_and_a_mutex_make_a_cycle_and_a_once_too() {
    let world = World::new();
    let all = Arc::new((RwLock::new(()), Mutex::new(()), Once::<u32>::new()));
    let [one, two, three] = [(); 3].map(|()| Arc::clone(&all));
    world.spawn("writer", move || {
        let _writes = one.0.write();
        scheduler::yield_now();
        drop(one.1.lock());
    });
    world.spawn("locker", move || {
        let _guard = two.1.lock();
        scheduler::yield_now();
        two.2.call_once(|| 1);
    });
    world.spawn("maker", move || {
        three.2.call_once(|| {
            scheduler::yield_now();
            drop(three.0.read());
            2
        });
    });
    let reports = world.run();
    assert!(reports[0].starts_with("deadlock: 3 fibers"), "{reports:#?}");
    for text in [
        "\"maker\" (@) waits to read the lock @",
        "\"writer\" (@) holds it",
        "\"locker\" (@) waits for the `Once` @",
        "\"maker\" (@) initializes it",
    ] {
        assert!(reports[0].contains(text), "{text} in {reports:#?}");
    }
}

#[test]
fn a_mutex_whose_owner_ended_with_it_is_reported() {
    let world = World::new();
    let locks = mutexes::<1>();
    let other = Arc::clone(&locks);
    #[expect(clippy::mem_forget, reason = "that is what is tested")]
    world.spawn("forgetful", move || core::mem::forget(locks[0].lock()));
    world.spawn("waiter", move || {
        scheduler::yield_now();
        drop(other[0].lock());
    });
    let reports = world.run();
    assert!(
        reports[0].starts_with("deadlock: a fiber waits for a lock whose holder has ended\n"),
        "{reports:#?}"
    );
    assert!(
        reports[0].contains(": fiber @ held it when it ended\n"),
        "{reports:#?}"
    );
}

#[test]
fn one_of_the_cycle_that_was_woken_for_nothing_still_counts() {
    let world = World::new();
    let locks = mutexes::<2>();
    let other = Arc::clone(&locks);
    let left = joinable(&world, "left", move || lock_both(&locks[0], &locks[1]));
    let waker = left.unparker();
    left.detach();
    world.spawn("right", move || {
        let _first = other[1].lock();
        scheduler::yield_now();
        scheduler::yield_now();
        assert!(waker.unpark());
        let _second = other[0].lock();
    });
    let reports = world.run();
    assert!(reports[0].starts_with("deadlock: 2 fibers"), "{reports:#?}");
}

#[test]
fn what_an_interrupt_can_give_is_no_deadlock() {
    let world = World::new();
    let all = Arc::new((Mutex::new(()), Semaphore::new(0), Condvar::new()));
    let other = Arc::clone(&all);
    world.spawn("holder", move || {
        let _guard = all.0.lock();
        all.1.acquire().unwrap();
    });
    world.spawn("waiter", move || drop(other.0.lock()));
    let reports = world.run();
    assert_eq!(world.kernel.kinds.lock().unwrap()[..], [StallKind::Idle]);
    assert!(
        reports[0].starts_with("idle: 2 fibers wait, and interrupts may wake them\n"),
        "{reports:#?}"
    );
}
