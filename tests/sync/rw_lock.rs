//! The reader-writer lock.

use crate::{panic_of, settle, world};
use core::time::Duration;
use kfiber::scheduler;
use kfiber::sync::{LockError, RwLock};

#[test]
fn many_read_or_one_writes() {
    world!(S, CELLS);
    static VALUE: RwLock<u32> = RwLock::new(1);
    let fiber = S
        .spawn(&CELLS, || {
            let readers = (VALUE.read(), VALUE.try_read().unwrap());
            assert!(VALUE.try_write().is_none());
            assert_eq!(*readers.0 + *readers.1, 2);
            drop(readers);
            let mut writer = VALUE.write();
            assert!(VALUE.try_read().is_none() && VALUE.try_write().is_none());
            *writer = 5;
            drop(writer);
            *VALUE.read()
        })
        .unwrap();
    S.run();
    assert_eq!(fiber.try_join().unwrap(), 5);
}

#[test]
fn who_comes_first_is_served_first() {
    world!(S, CELLS, LOG);
    static VALUE: RwLock<()> = RwLock::new(());
    for name in ["r1", "r2", "w1", "r3", "r4", "w2", "r5"] {
        S.spawn(&CELLS, move || {
            if name.starts_with('r') {
                let _guard = VALUE.read();
                LOG.say(name);
                settle();
                LOG.say(format!("-{name}"));
            } else {
                let _guard = VALUE.write();
                LOG.say(name);
                settle();
                LOG.say(format!("-{name}"));
            }
        })
        .unwrap()
        .detach();
    }
    S.run();
    assert_eq!(
        LOG.all(),
        "r1 r2 -r1 -r2 w1 -w1 r3 r4 -r3 -r4 w2 -w2 r5 -r5"
    );
}

#[test]
fn readers_do_not_starve_a_writer() {
    world!(S, CELLS, LOG);
    static VALUE: RwLock<()> = RwLock::new(());
    S.spawn(&CELLS, || {
        let guard = VALUE.read();
        settle();
        assert!(VALUE.try_read().is_none(), "a writer waits");
        drop(guard);
        let _guard = VALUE.read();
        LOG.say("reader");
    })
    .unwrap()
    .detach();
    S.spawn(&CELLS, || {
        let _guard = VALUE.write();
        LOG.say("writer");
    })
    .unwrap()
    .detach();
    S.run();
    assert_eq!(LOG.all(), "writer reader");
}

#[test]
fn a_writer_that_gives_up_lets_the_readers_behind_it_in() {
    world!(S, CELLS, LOG);
    static VALUE: RwLock<()> = RwLock::new(());
    S.spawn(&CELLS, || {
        let guard = VALUE.read();
        scheduler::sleep_until(100).unwrap();
        LOG.say("first out");
        drop(guard);
    })
    .unwrap()
    .detach();
    S.spawn(&CELLS, || {
        let waited = VALUE
            .write_timeout(Duration::from_nanos(10))
            .map(|_guard| ());
        assert_eq!(waited, Err(LockError::TimedOut));
        LOG.say("gave up");
    })
    .unwrap()
    .detach();
    S.spawn(&CELLS, || {
        let _guard = VALUE.read();
        LOG.say(format!("second in at {}", scheduler::now()));
    })
    .unwrap()
    .detach();
    S.run();
    assert_eq!(LOG.all(), "gave up second in at 10 first out");
}

#[test]
fn waits_time_out() {
    world!(S, CELLS);
    static VALUE: RwLock<()> = RwLock::new(());
    S.spawn(&CELLS, || {
        let guard = VALUE.write();
        scheduler::sleep_until(50).unwrap();
        drop(guard);
    })
    .unwrap()
    .detach();
    let reader = S
        .spawn(&CELLS, || {
            let past = VALUE.read_until(0).is_err();
            let read = VALUE.read_timeout(Duration::from_nanos(20)).is_err();
            let write = VALUE.write_until(30).is_err();
            (
                past,
                read,
                write,
                scheduler::now(),
                VALUE.read_until(60).is_ok(),
            )
        })
        .unwrap();
    S.run();
    assert_eq!(reader.try_join().unwrap(), (true, true, true, 30, true));
}

#[test]
fn cancellation_does_not_disturb_it() {
    world!(S, CELLS);
    static VALUE: RwLock<u32> = RwLock::new(3);
    S.spawn(&CELLS, || {
        let guard = VALUE.write();
        scheduler::sleep_until(50).unwrap();
        drop(guard);
    })
    .unwrap()
    .detach();
    let reader = S.spawn(&CELLS, || *VALUE.read()).unwrap();
    let writer = S
        .spawn(&CELLS, || VALUE.write_until(90).map(|value| *value))
        .unwrap();
    S.run_until_idle();
    reader.cancel();
    writer.cancel();
    S.run();
    assert_eq!(reader.try_join().unwrap(), 3);
    assert_eq!(writer.try_join().unwrap(), Ok(3));
}

#[test]
fn locking_what_one_writes_oneself_panics() {
    world!(S, CELLS);
    static VALUE: RwLock<()> = RwLock::new(());
    S.spawn(&CELLS, || {
        let guard = VALUE.write();
        assert!(panic_of(|| VALUE.read()).contains("would wait for itself"));
        assert!(panic_of(|| VALUE.write()).contains("would wait for itself"));
        drop(guard);
        assert!(VALUE.try_write().is_some());
    })
    .unwrap()
    .detach();
    S.run();
    assert!(panic_of(|| VALUE.read()).contains("outside of a fiber"));
    assert!(panic_of(|| VALUE.try_write()).contains("outside of a fiber"));
}
