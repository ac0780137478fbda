//! A guard belongs to the fiber that locked. Where the types cannot see that it moves, the one who uses it is told.

use crate::{CELLS, S, Smuggled, assert_names, child, contain, end_of, panic_of, settle, spawn};
use kfiber::scheduler::{Priority, yield_now};
use kfiber::sync::{
    Condvar, IrqMutex, IrqMutexGuard, MappedMutexGuard, Mutex, MutexGuard, RwLock, RwLockReadGuard,
    RwLockWriteGuard,
};

static LOCK: Mutex<u32> = Mutex::new(0);
static SHARED: RwLock<u32> = RwLock::new(0);
static CHANGED: Condvar = Condvar::new();

std::thread_local! {
    static GUARD: Smuggled<MutexGuard<'static, u32>> = const { Smuggled::new() };
    static READER: Smuggled<RwLockReadGuard<'static, u32>> = const { Smuggled::new() };
    static WRITER: Smuggled<RwLockWriteGuard<'static, u32>> = const { Smuggled::new() };
    static OFF: Smuggled<IrqMutexGuard<'static, u32>> = const { Smuggled::new() };
}

/// The fiber that locks, and stays until the other one has tried.
fn owner(lock: impl FnOnce() + Send + 'static) {
    spawn("owner", move || {
        lock();
        settle();
    })
    .detach();
}

#[test]
fn a_guard_dropped_by_another_fiber_is_a_panic_that_names_both() {
    child::passes(|| {
        contain();
        owner(|| GUARD.with(|place| place.put(LOCK.lock())));
        let thief = spawn("thief", || {
            panic_of(|| GUARD.with(|place| drop(place.take())))
        });
        S.run();
        assert_names(&end_of(thief).unwrap(), &["\"owner\"", "\"thief\""]);
        assert!(LOCK.is_locked(), "nothing was unlocked");
    });
}

#[test]
fn a_guard_waited_with_by_another_fiber_is_a_panic_that_names_both() {
    child::passes(|| {
        contain();
        owner(|| GUARD.with(|place| place.put(LOCK.lock())));
        let thief = spawn("thief", || {
            let mut guard = GUARD.with(Smuggled::take);
            let message = panic_of(|| CHANGED.wait(&mut guard));
            core::mem::forget(guard);
            message
        });
        spawn("notifies", || {
            settle();
            CHANGED.notify_all()
        })
        .detach();
        S.run();
        assert_names(&end_of(thief).unwrap(), &["\"owner\"", "\"thief\""]);
        assert!(LOCK.is_locked(), "nothing was unlocked");
    });
}

#[test]
fn a_guard_dropped_after_its_fiber_ended_does_not_unlock() {
    child::passes(|| {
        contain();
        spawn("owner", || GUARD.with(|place| place.put(LOCK.lock()))).detach();
        S.run();
        let thief = spawn("thief", || {
            panic_of(|| GUARD.with(|place| drop(place.take())))
        });
        S.run();
        assert_names(&end_of(thief).unwrap(), &["\"thief\""]);
        assert!(LOCK.is_locked(), "nothing was unlocked");
    });
}

#[test]
fn a_guard_dropped_by_another_fiber_leaves_those_who_wait_and_what_they_lent_as_they_were() {
    child::passes(|| {
        contain();
        let owner = spawn("owner", || {
            GUARD.with(|place| place.put(LOCK.lock()));
            let high = S.builder().name("high").priority(Priority::HIGHEST);
            let high = high.spawn(&CELLS, || *LOCK.lock() += 1).unwrap();
            yield_now(); // it waits, and lends us its level
            let thief = spawn("thief", || {
                panic_of(|| GUARD.with(|place| drop(place.take())))
            });
            let message = thief.join().unwrap();
            (message, high.is_finished(), LOCK.is_locked())
        });
        S.run();
        let (message, is_finished, is_locked) = end_of(owner).unwrap();
        assert_names(&message, &["\"owner\"", "\"thief\""]);
        assert!(!is_finished && is_locked, "it was given away");
    });
}

#[test]
fn access_given_back_by_another_writer_is_a_panic_that_names_both() {
    child::passes(|| {
        contain();
        owner(|| WRITER.with(|place| place.put(SHARED.write())));
        let thief = spawn("thief", || {
            let message = panic_of(|| WRITER.with(|place| drop(place.take())));
            (message, SHARED.try_read().is_some())
        });
        S.run();
        let (message, can_read) = end_of(thief).unwrap();
        assert_names(&message, &["\"owner\"", "\"thief\""]);
        assert!(!can_read, "nothing was unlocked");
    });
}

#[test]
fn access_given_back_by_another_fiber_than_the_reader_is_a_panic_that_names_it() {
    child::passes(|| {
        contain();
        owner(|| READER.with(|place| place.put(SHARED.read())));
        let thief = spawn("thief", || {
            let message = panic_of(|| READER.with(|place| drop(place.take())));
            (message, SHARED.try_write().is_some())
        });
        S.run();
        let (message, can_write) = end_of(thief).unwrap();
        assert_names(&message, &["\"thief\""]);
        assert!(!can_write, "nothing was unlocked");
    });
}

#[test]
fn a_guard_of_interrupts_that_is_left_in_a_thread_local_fails_the_fiber_that_left_it() {
    static WORDS: IrqMutex<u32> = IrqMutex::new(0);
    child::passes(|| {
        contain();
        let culprit = spawn("culprit", || OFF.with(|place| place.put(WORDS.lock())));
        let innocent = spawn("innocent", || {
            settle();
            1
        });
        S.run();
        assert!(end_of(culprit).is_err());
        assert_eq!(end_of(innocent), Ok(1));
    });
}

#[test]
fn a_guard_is_lent_to_fibers_that_only_look() {
    child::passes(|| {
        contain();
        let owner = spawn("owner", || {
            *LOCK.lock() = 5;
            let guard = LOCK.lock();
            let lent = &guard;
            kfiber::scheduler::scope(|scope| {
                let look = || {
                    yield_now();
                    **lent
                };
                let lookers: [_; 3] = core::array::from_fn(|_| scope.spawn(&CELLS, look).unwrap());
                lookers.map(|looker| looker.join().unwrap())
            })
        });
        S.run();
        assert_eq!(end_of(owner), Ok([5; 3]));
        assert!(!LOCK.is_locked());
    });
}

#[test]
fn a_writer_downgraded_by_another_fiber_is_a_panic_that_names_both() {
    child::passes(|| {
        contain();
        owner(|| WRITER.with(|place| place.put(SHARED.write())));
        let thief = spawn("thief", || {
            panic_of(|| WRITER.with(|place| RwLockWriteGuard::downgrade(place.take())))
        });
        S.run();
        assert_names(&end_of(thief).unwrap(), &["\"owner\"", "\"thief\""]);
        assert!(SHARED.is_locked(), "nothing was unlocked");
    });
}

#[test]
fn the_guard_of_a_part_dropped_by_another_fiber_is_a_panic_that_names_both() {
    std::thread_local! {
        static PART: Smuggled<MappedMutexGuard<'static, u32>> = const { Smuggled::new() };
    }
    child::passes(|| {
        contain();
        owner(|| {
            let part = MutexGuard::map(LOCK.lock(), |value| value);
            PART.with(|place| place.put(part));
        });
        let thief = spawn("thief", || {
            panic_of(|| PART.with(|place| drop(place.take())))
        });
        S.run();
        assert_names(&end_of(thief).unwrap(), &["\"owner\"", "\"thief\""]);
        assert!(LOCK.is_locked(), "nothing was unlocked");
    });
}
