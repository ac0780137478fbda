//! Who has a lock: a fiber that ended without giving it back is not mistaken for the next one in its cell, and a guard is used by
//! the fiber that locked only.
#![expect(clippy::mem_forget, reason = "guards are leaked on purpose")]

use crate::{panic_of, settle, world};
use core::cell::RefCell;
use core::mem;
use core::time::Duration;
use kfiber::platform::Host;
use kfiber::scheduler::{self, FiberCell, FiberId, Priority, Scheduler};
use kfiber::sync::{
    Condvar, LockError, Mutex, MutexGuard, Once, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

const TIMEOUT: Duration = Duration::from_millis(1);

/// Has a fiber of the cell run, and returns its id and result.
#[track_caller]
fn run_in<T: Send + 'static>(
    scheduler: &'static Scheduler<Host>,
    cell: &'static FiberCell<65536>,
    name: &'static str,
    f: impl FnOnce() -> T + Send + 'static,
) -> (FiberId, T) {
    let fiber = scheduler.builder().name(name).spawn(cell, f).unwrap();
    let id = fiber.id();
    scheduler.run();
    (id, fiber.try_join().unwrap())
}

#[test]
fn the_next_fiber_in_the_cell_of_one_that_leaked_a_guard_is_not_the_owner() {
    world!(S, CELLS);
    static CELL: FiberCell<65536> = FiberCell::new();
    static VALUE: Mutex<u32> = Mutex::new(0);
    let (leaker, ()) = run_in(&S, &CELL, "leaker", || mem::forget(VALUE.lock()));
    let (innocent, owner) = run_in(&S, &CELL, "innocent", || {
        assert!(VALUE.try_lock().is_none());
        assert!(VALUE.is_locked() && !VALUE.is_poisoned());
        assert_eq!(
            VALUE.lock_timeout(TIMEOUT).map(|_| ()),
            Err(LockError::TimedOut)
        );
        VALUE.owner()
    });
    assert_ne!(leaker, innocent);
    assert_eq!(owner, Some(leaker));
    let (_, message) = run_in(&S, &CELL, "waits", || panic_of(|| drop(VALUE.lock())));
    assert!(
        message.contains("waits for a lock whose holder has ended"),
        "{message}"
    );
    assert!(
        message.contains(&format!("fiber {leaker:?} held it when it ended")),
        "{message}"
    );
    let _more = &CELLS;
}

#[test]
fn a_leaked_guard_of_a_reader_writer_lock_is_not_the_next_fiber_s() {
    world!(S, CELLS);
    static CELL: FiberCell<65536> = FiberCell::new();
    static WRITTEN: RwLock<u32> = RwLock::new(0);
    static READ: RwLock<u32> = RwLock::new(0);
    let (leaker, ()) = run_in(&S, &CELL, "leaker", || {
        mem::forget(WRITTEN.write());
        mem::forget(READ.read());
    });
    let (_, messages) = run_in(&S, &CELL, "innocent", || {
        let timed_out = Err(LockError::TimedOut);
        assert_eq!(WRITTEN.read_timeout(TIMEOUT).map(|_| ()), timed_out);
        assert_eq!(WRITTEN.write_timeout(TIMEOUT).map(|_| ()), timed_out);
        assert_eq!(READ.write_timeout(TIMEOUT).map(|_| ()), timed_out);
        assert_eq!(*READ.read(), 0);
        [
            panic_of(|| drop(WRITTEN.read())),
            panic_of(|| drop(WRITTEN.write())),
            panic_of(|| drop(READ.write())),
        ]
    });
    for message in messages {
        assert!(
            message.contains(&format!("fiber {leaker:?} held it when it ended")),
            "{message}"
        );
    }
    let _more = &CELLS;
}

#[test]
fn nobody_lends_priority_to_the_next_fiber_in_the_cell_of_one_that_leaked_a_guard() {
    world!(S, CELLS);
    static CELL: FiberCell<65536> = FiberCell::new();
    static VALUE: Mutex<u32> = Mutex::new(0);
    let (_, ()) = run_in(&S, &CELL, "leaker", || mem::forget(VALUE.lock()));
    let innocent = S.builder().priority(Priority::LOWEST).spawn(&CELL, || {
        let mut levels = Vec::new();
        for _ in 0..3 {
            scheduler::yield_now();
            let me = scheduler::current();
            let info = S.fibers().find(|fiber| Some(fiber.id) == me);
            levels.push(info.unwrap().priority);
        }
        levels
    });
    let innocent = innocent.unwrap();
    let wants = S.builder().priority(Priority::HIGHEST).spawn(&CELLS, || {
        scheduler::sleep(Duration::ZERO).unwrap();
        VALUE.lock_timeout(Duration::from_secs(1)).is_err()
    });
    S.run();
    assert_eq!(innocent.try_join().unwrap(), [Priority::LOWEST; 3]);
    assert!(wants.unwrap().try_join().unwrap());
}

#[test]
fn the_owner_that_ended_is_told_from_the_31_fibers_after_it_in_its_cell() {
    world!(S, CELLS);
    static CELL: FiberCell<65536> = FiberCell::new();
    static VALUE: Mutex<u32> = Mutex::new(0);
    let (leaker, ()) = run_in(&S, &CELL, "leaker", || mem::forget(VALUE.lock()));
    for _ in 0..31 {
        let (id, owner) = run_in(&S, &CELL, "later", || VALUE.owner());
        assert_eq!(owner, Some(leaker));
        assert_ne!(owner, Some(id));
    }
    // As is written at the words: the 32nd is taken for it.
    let (id, owner) = run_in(&S, &CELL, "the 32nd", || VALUE.owner());
    assert_eq!(owner, Some(id));
    let _more = &CELLS;
}

#[test]
#[cfg_attr(
    any(miri, kfiber_threads),
    ignore = "with threads for fibers, a fiber inside is no scheduled one"
)]
fn a_value_whose_maker_ended_is_waited_for_by_nobody() {
    world!(S, CELLS);
    static CELL: FiberCell<65536> = FiberCell::new();
    static STACK: kfiber::stack::Stack<65536> = kfiber::stack::Stack::new();
    static VALUE: Once<u32> = Once::new();
    let (leaker, ()) = run_in(&S, &CELL, "leaker", || {
        use kfiber::fiber::{Fiber, Yielder};
        use kfiber::stack::Storage;
        let stack = STACK.take().unwrap();
        let mut fiber = Fiber::new(stack, |yielder: &Yielder<(), ()>, ()| {
            let _value = VALUE.call_once(|| {
                yielder.suspend(());
                1
            });
        })
        .unwrap();
        let _suspended = fiber.resume(());
        mem::forget(fiber);
    });
    let (_, message) = run_in(&S, &CELL, "next", || panic_of(|| VALUE.call_once(|| 2)));
    assert!(
        message.contains(&format!("fiber {leaker:?} held it when it ended")),
        "{message}"
    );
    let _more = &CELLS;
}

std::thread_local! {
    static GUARD: RefCell<Option<MutexGuard<'static, u32>>> = const { RefCell::new(None) };
    static READER: RefCell<Option<RwLockReadGuard<'static, u32>>> = const { RefCell::new(None) };
    static WRITER: RefCell<Option<RwLockWriteGuard<'static, u32>>> = const { RefCell::new(None) };
}

#[test]
#[cfg_attr(
    any(miri, kfiber_threads),
    ignore = "threads for fibers share no thread locals"
)]
fn dropping_the_guard_of_another_fiber_panics_names_both_and_unlocks_nothing() {
    world!(S, CELLS);
    static LOCK: Mutex<u32> = Mutex::new(0);
    let owner = S.builder().name("owner").spawn(&CELLS, || {
        GUARD.set(Some(LOCK.lock()));
        settle();
        LOCK.owner() == scheduler::current()
    });
    let thief = S
        .builder()
        .name("thief")
        .spawn(&CELLS, || panic_of(|| drop(GUARD.take())));
    S.run();
    let message = thief.unwrap().try_join().unwrap();
    assert!(
        message.contains("a guard of \"owner\"") && message.contains("was dropped by \"thief\""),
        "{message}"
    );
    assert!(owner.unwrap().try_join().unwrap());
    assert!(LOCK.is_locked());
}

#[test]
#[cfg_attr(
    any(miri, kfiber_threads),
    ignore = "threads for fibers share no thread locals"
)]
fn dropping_a_guard_outside_of_fibers_panics() {
    world!(S, CELLS);
    static LOCK: Mutex<u32> = Mutex::new(0);
    static SHARED: RwLock<u32> = RwLock::new(0);
    let owner = S.builder().name("owner").spawn(&CELLS, || {
        GUARD.set(Some(LOCK.lock()));
        READER.set(Some(SHARED.read()));
    });
    S.run();
    owner.unwrap().try_join().unwrap();
    for message in [
        panic_of(|| drop(GUARD.take())),
        panic_of(|| drop(READER.take())),
    ] {
        assert!(
            message.contains("was dropped outside of fibers"),
            "{message}"
        );
    }
    assert!(LOCK.is_locked());
}

#[test]
#[cfg_attr(
    any(miri, kfiber_threads),
    ignore = "threads for fibers share no thread locals"
)]
fn waiting_with_the_guard_of_another_fiber_panics_before_it_unlocks() {
    world!(S, CELLS);
    static LOCK: Mutex<u32> = Mutex::new(0);
    static CHANGED: Condvar = Condvar::new();
    let owner = S.builder().name("owner").spawn(&CELLS, || {
        GUARD.set(Some(LOCK.lock()));
        settle();
        drop(GUARD.take());
        LOCK.is_locked()
    });
    let thief = S.builder().name("thief").spawn(&CELLS, || {
        let message = GUARD.with_borrow_mut(|guard| {
            let guard = guard.as_mut().unwrap();
            panic_of(|| CHANGED.wait(guard))
        });
        (message, LOCK.is_locked(), CHANGED.notify_one())
    });
    S.run();
    let (message, is_locked, was_waiting) = thief.unwrap().try_join().unwrap();
    assert!(
        message.contains("a guard of \"owner\"")
            && message.contains("given to a condition variable by \"thief\""),
        "{message}"
    );
    assert!(is_locked && !was_waiting);
    assert!(!owner.unwrap().try_join().unwrap());
}

#[test]
#[cfg_attr(
    any(miri, kfiber_threads),
    ignore = "threads for fibers share no thread locals"
)]
fn dropping_the_guard_of_one_who_reads_or_writes_panics_too() {
    world!(S, CELLS);
    static SHARED: RwLock<u32> = RwLock::new(0);
    let reader = S.builder().name("reader").spawn(&CELLS, || {
        READER.set(Some(SHARED.read()));
        settle();
    });
    let thief = S.builder().name("thief").spawn(&CELLS, || {
        let message = panic_of(|| drop(READER.take()));
        (message, SHARED.try_write().is_none())
    });
    S.run();
    reader.unwrap().try_join().unwrap();
    let (message, is_locked) = thief.unwrap().try_join().unwrap();
    assert!(message.contains("a guard of \"reader\""), "{message}");
    assert!(is_locked);
}

#[test]
#[cfg_attr(
    any(miri, kfiber_threads),
    ignore = "threads for fibers share no thread locals"
)]
fn dropping_the_guard_of_one_who_writes_leaves_it_locked() {
    world!(S, CELLS);
    static SHARED: RwLock<u32> = RwLock::new(0);
    let writer = S.builder().name("writer").spawn(&CELLS, || {
        WRITER.set(Some(SHARED.write()));
        settle();
    });
    let thief = S.builder().name("thief").spawn(&CELLS, || {
        let message = panic_of(|| drop(WRITER.take()));
        (message, SHARED.try_read().is_none())
    });
    S.run();
    writer.unwrap().try_join().unwrap();
    let (message, is_locked) = thief.unwrap().try_join().unwrap();
    assert!(message.contains("a guard of \"writer\""), "{message}");
    assert!(is_locked);
}
