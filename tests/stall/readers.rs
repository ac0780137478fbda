//! Deadlocks of a reader-writer lock: readers behind a writer in line, upgrades, and writers that need several readers.
#![expect(clippy::mem_forget, reason = "guards are leaked on purpose")]

use crate::{World, panic_of};
use core::mem;
use core::time::Duration;
use kfiber::scheduler::{self, AfterDeadlock, StallKind};
use kfiber::sync::{LockError, Mutex, RwLock};
use std::sync::Arc;

fn lock() -> Arc<RwLock<()>> {
    Arc::new(RwLock::new(()))
}

/// A fiber that reads, lets the others run, and reads again: it waits behind a writer that has come
/// meanwhile, which waits for it.
fn read_twice(world: &World, name: &'static str, lock: &Arc<RwLock<()>>) {
    let lock = Arc::clone(lock);
    world.spawn(name, move || {
        let _first = lock.read();
        scheduler::yield_now();
        let _second = lock.read();
    });
}

fn write(world: &World, name: &'static str, lock: &Arc<RwLock<()>>) {
    let lock = Arc::clone(lock);
    world.spawn(name, move || drop(lock.write()));
}

/// The first lines of what was reported, but for advice and places.
#[track_caller]
fn assert_reports(reports: &[String], wanted: &[&str]) {
    let text = reports.join("\n");
    for wanted in wanted {
        assert!(text.contains(wanted), "no {wanted:?} in\n{text}");
    }
}

#[test]
fn a_second_read_behind_a_writer_in_line_is_a_deadlock_of_two() {
    let world = World::new();
    let lock = lock();
    read_twice(&world, "A", &lock);
    write(&world, "B", &lock);
    let reports = world.run();
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert_reports(
        &reports[..1],
        &[
            "deadlock: 2 fibers wait for each other",
            "\"B\" (@) waits to write it and comes first",
            "\"A\" (@) reads it",
        ],
    );
    assert_reports(&reports[1..], &["nothing can ever wake them", "cycle: "]);
    assert_eq!(*world.kernel.kinds.lock().unwrap(), [StallKind::Deadlocked]);
}

#[test]
fn a_second_read_behind_a_writer_is_a_deadlock_also_while_others_read_and_go_on() {
    let world = World::new();
    let lock = lock();
    let reader = Arc::clone(&lock);
    world.spawn("alive", move || {
        let _guard = reader.read();
        scheduler::sleep(Duration::from_secs(60)).unwrap();
    });
    read_twice(&world, "A", &lock);
    write(&world, "B", &lock);
    let reports = world.run();
    assert_reports(
        &reports[..1],
        &["deadlock: 2 fibers", "\"A\" (@) and another one read it"],
    );
}

#[test]
fn the_fiber_that_closes_it_panics_and_lets_the_writer_in() {
    let world = World::answering(AfterDeadlock::Panic, None);
    let lock = lock();
    let again = Arc::clone(&lock);
    let (told, tell) = (Arc::new(std::sync::Mutex::new(String::new())), Arc::new(()));
    let message = Arc::clone(&told);
    world.spawn("A", move || {
        let _first = again.read();
        scheduler::yield_now();
        *message.lock().unwrap() = panic_of(|| drop(again.read()));
    });
    let written = Arc::clone(&tell);
    let writer = Arc::clone(&lock);
    world.spawn("B", move || {
        let _guard = writer.write();
        drop(written);
    });
    let _reports = world.run();
    assert!(told.lock().unwrap().starts_with("deadlock: 2 fibers wait"));
    assert_eq!(Arc::strong_count(&tell), 1, "B has written");
}

#[test]
fn an_upgrade_of_the_own_read_lock_waits_for_itself() {
    let world = World::answering(AfterDeadlock::Panic, None);
    let lock = lock();
    let other = Arc::clone(&lock);
    world.spawn("other", move || {
        let _guard = other.read();
        for _ in 0..3 {
            scheduler::yield_now();
        }
    });
    world.spawn("A", move || {
        let _guard = lock.read();
        let _message = panic_of(|| drop(lock.write()));
        assert_eq!(
            lock.write_timeout(Duration::from_millis(1)).map(|_| ()),
            Err(LockError::TimedOut)
        );
    });
    let reports = world.run();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_reports(
        &reports,
        &[
            "deadlock: a fiber waits for itself",
            "\"A\" (@) and another one read it",
        ],
    );
}

#[test]
fn a_writer_that_needs_one_of_several_readers_that_waits_for_it_is_a_deadlock() {
    let world = World::new();
    let lock = lock();
    let mutex = Arc::new(Mutex::new(()));
    for name in ["one", "two"] {
        let lock = Arc::clone(&lock);
        world.spawn(name, move || {
            let _guard = lock.read();
            scheduler::sleep(Duration::from_secs(9)).unwrap();
        });
    }
    let (reader, its) = (Arc::clone(&lock), Arc::clone(&mutex));
    world.spawn("reader", move || {
        let _guard = reader.read();
        scheduler::yield_now();
        drop(its.lock());
    });
    world.spawn("writer", move || {
        let _guard = mutex.lock();
        drop(lock.write());
    });
    let reports = world.run();
    assert_reports(
        &reports[..1],
        &[
            "deadlock: 2 fibers",
            "\"reader\" (@) and 2 others read it",
            "\"writer\" (@) holds it",
        ],
    );
}

#[test]
fn a_writer_that_needs_a_reader_that_has_ended_is_told_while_others_read() {
    let world = World::answering(AfterDeadlock::Panic, None);
    let lock = lock();
    let leaks = Arc::clone(&lock);
    world.spawn("leaker", move || mem::forget(leaks.read()));
    let reads = Arc::clone(&lock);
    world.spawn("reader", move || {
        let _guard = reads.read();
        scheduler::sleep(Duration::from_secs(1)).unwrap();
    });
    world.spawn("writer", move || {
        let _message = panic_of(|| drop(lock.write()));
    });
    let reports = world.run();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_reports(
        &reports,
        &[
            "deadlock: a fiber waits for a lock whose holder has ended",
            "held it when it ended",
        ],
    );
}

#[test]
fn a_writer_that_waits_for_readers_that_go_on_is_no_deadlock() {
    let world = World::new();
    let lock = lock();
    for name in ["one", "two", "three", "four", "five", "six"] {
        let lock = Arc::clone(&lock);
        world.spawn(name, move || {
            let _guard = lock.read();
            for _ in 0..3 {
                scheduler::yield_now();
            }
        });
    }
    write(&world, "writer", &lock);
    let late = Arc::clone(&lock);
    world.spawn("late", move || drop(late.read()));
    assert_eq!(world.run(), [""; 0]);
}

#[test]
fn a_reader_behind_a_writer_with_a_deadline_waits_and_is_let_in() {
    let world = World::new();
    let lock = lock();
    let writer = Arc::clone(&lock);
    read_twice(&world, "A", &lock);
    world.spawn("B", move || {
        let waited = writer.write_timeout(Duration::from_secs(1)).map(|_| ());
        assert_eq!(waited, Err(LockError::TimedOut));
    });
    assert_eq!(world.run(), [""; 0]);
}
