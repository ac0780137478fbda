//! Guards of a part of a value, and a writer that goes on as a reader.

use crate::{panic_of, settle, world};
use core::time::Duration;
use kfiber::scheduler::WaitError;
use kfiber::sync::{
    Condvar, LockError, MappedMutexGuard, MappedRwLockReadGuard, MappedRwLockWriteGuard, Mutex,
    MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

#[test]
fn a_mutex_is_locked_until_the_guard_of_its_part_is_dropped() {
    world!(S, CELLS, LOG);
    static VALUE: Mutex<([u32; 3], u32)> = Mutex::new(([0; 3], 0));
    S.spawn(&CELLS, || {
        let array = MutexGuard::map(VALUE.lock(), |value| &mut value.0);
        let mut slot = MappedMutexGuard::map(array, |array| &mut array[1]);
        *slot = 7;
        settle();
        assert!(VALUE.is_locked());
        LOG.say(format!("{slot} {slot:?}"));
    })
    .unwrap()
    .detach();
    let other = S.spawn(&CELLS, || {
        let value = VALUE.lock();
        LOG.say("other");
        *value
    });
    S.run();
    assert_eq!(LOG.all(), "7 7 other");
    assert_eq!(other.unwrap().try_join().unwrap(), ([0, 7, 0], 0));
}

#[test]
fn a_guard_is_given_back_if_there_is_no_such_part() {
    world!(S, CELLS);
    static VALUE: Mutex<[u32; 2]> = Mutex::new([1, 2]);
    let fiber = S.spawn(&CELLS, || {
        let whole = MutexGuard::try_map(VALUE.lock(), |value| value.get_mut(2)).unwrap_err();
        assert!(VALUE.is_locked());
        let part = MutexGuard::try_map(whole, |value| value.get_mut(..2)).unwrap();
        let part = MappedMutexGuard::try_map(part, |part| part.get_mut(9)).unwrap_err();
        assert!(VALUE.is_locked());
        let mut last = MappedMutexGuard::try_map(part, |part| part.last_mut()).unwrap();
        *last += 1;
        drop(last);
        assert!(!VALUE.is_locked());
        *VALUE.lock()
    });
    S.run();
    assert_eq!(fiber.unwrap().try_join().unwrap(), [1, 3]);
}

#[test]
fn a_panic_in_the_choice_of_a_part_unlocks_once() {
    world!(S, CELLS);
    static VALUE: Mutex<u32> = Mutex::new(0);
    static SHARED: RwLock<u32> = RwLock::new(0);
    S.spawn(&CELLS, || {
        fn choose(_: &mut u32) -> &mut u32 {
            panic!("no part")
        }
        assert_eq!(
            panic_of(|| MutexGuard::map(VALUE.lock(), choose)),
            "no part"
        );
        assert!(!VALUE.is_locked());
        assert_eq!(
            panic_of(|| RwLockWriteGuard::map(SHARED.write(), choose)),
            "no part"
        );
        assert!(!SHARED.is_locked());
        let part = RwLockWriteGuard::map(SHARED.write(), |value| value);
        assert_eq!(
            panic_of(|| MappedRwLockWriteGuard::map(part, choose)),
            "no part"
        );
        assert!(!SHARED.is_locked());
    })
    .unwrap()
    .detach();
    S.run();
}

#[test]
fn readers_and_writers_of_parts_exclude_each_other() {
    world!(S, CELLS);
    static VALUE: RwLock<[u32; 2]> = RwLock::new([1, 2]);
    S.spawn(&CELLS, || {
        assert!(!VALUE.is_locked());
        let first = RwLockReadGuard::map(VALUE.read(), |value| &value[0]);
        let second = RwLockReadGuard::try_map(VALUE.read(), |value| value.get(1)).unwrap();
        assert_eq!(*first + *second, 3);
        drop(first);
        assert!(VALUE.is_locked() && VALUE.try_write().is_none());
        let second = MappedRwLockReadGuard::try_map(second, |_| None::<&u32>).unwrap_err();
        drop(second);
        assert!(!VALUE.is_locked());
        let mut part = RwLockWriteGuard::try_map(VALUE.write(), |value| value.last_mut()).unwrap();
        *part = 9;
        assert!(VALUE.is_locked() && VALUE.try_read().is_none());
        drop(part);
        assert_eq!(*VALUE.read(), [1, 9]);
    })
    .unwrap()
    .detach();
    S.run();
}

#[test]
fn a_writer_that_goes_on_as_a_reader_lets_readers_in_and_no_writer() {
    world!(S, CELLS, LOG);
    static VALUE: RwLock<u32> = RwLock::new(0);
    S.spawn(&CELLS, || {
        let mut value = VALUE.write();
        settle();
        *value = 1;
        let value = RwLockWriteGuard::downgrade(value);
        settle();
        LOG.say(format!("-first {value:?}"));
    })
    .unwrap()
    .detach();
    for name in ["r1", "r2", "w", "r3"] {
        S.spawn(&CELLS, move || {
            if name == "w" {
                *VALUE.write() = 2;
                LOG.say(name);
            } else {
                LOG.say(format!("{name} {:?}", VALUE.read()));
            }
        })
        .unwrap()
        .detach();
    }
    S.run();
    assert_eq!(LOG.all(), "r1 1 r2 1 -first 1 w r3 2");
    assert!(!VALUE.is_locked());
}

#[test]
fn a_writer_that_went_on_as_a_reader_reads_and_does_not_write() {
    world!(S, CELLS);
    static VALUE: RwLock<u32> = RwLock::new(0);
    S.spawn(&CELLS, || {
        let first = RwLockWriteGuard::downgrade(VALUE.write());
        let second = VALUE.try_read().expect("no fiber writes");
        assert_eq!(
            VALUE.write_timeout(Duration::from_nanos(5)).err(),
            Some(LockError::TimedOut),
            "it reads"
        );
        drop((first, second));
        assert!(!VALUE.is_locked());
        drop(VALUE.try_write().expect("no fiber reads"));
    })
    .unwrap()
    .detach();
    S.run();
}

#[test]
fn a_wait_for_a_condition_on_a_value_has_a_form_with_a_timeout() {
    world!(S, CELLS);
    static VALUE: Mutex<u32> = Mutex::new(0);
    static CHANGED: Condvar = Condvar::new();
    let fiber = S.spawn(&CELLS, || {
        let timeout = Duration::from_nanos(5);
        let mut value = VALUE.lock();
        let late = CHANGED.wait_while_timeout(&mut value, timeout, |value| *value == 0);
        let soon = CHANGED.wait_while_timeout(&mut value, timeout, |value| *value == 1);
        (late, soon)
    });
    S.run();
    assert_eq!(
        fiber.unwrap().try_join().unwrap(),
        (Err(WaitError::TimedOut), Ok(()))
    );
}
