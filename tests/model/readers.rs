//! Who reads and waits for what only its own end of reading could give is in a deadlock, and is told.

use crate::{LOG, S, assert_names, child, contain, end_of, settle, spawn};
use core::time::Duration;
use kfiber::scheduler::{sleep, yield_now};
use kfiber::sync::{LockError, RwLock};

static LOCK: RwLock<u32> = RwLock::new(0);
static OTHER: RwLock<u32> = RwLock::new(0);

/// Reads, lets a writer queue, and reads again.
fn reads_twice() {
    let _first = LOCK.read();
    yield_now();
    let _second = LOCK.read();
}

fn writes() {
    *LOCK.write() += 1;
}

#[test]
fn a_reader_that_reads_again_behind_a_writer_is_in_a_deadlock() {
    child::passes(|| {
        contain();
        let reader = spawn("reader", reads_twice);
        let writer = spawn("writer", writes);
        S.run();
        let message = end_of(reader).unwrap_err();
        assert_names(&message, &["deadlock", "\"reader\"", "\"writer\""]);
        assert_eq!(end_of(writer), Ok(()));
    });
}

#[test]
fn it_is_told_while_other_fibers_go_on() {
    child::passes(|| {
        contain();
        spawn("ticks", || {
            (0..1000).for_each(|_| sleep(Duration::from_secs(60)).unwrap());
        })
        .detach();
        let reader = spawn("reader", reads_twice);
        let writer = spawn("writer", writes);
        S.run();
        assert_names(&end_of(reader).unwrap_err(), &["deadlock"]);
        assert_eq!(end_of(writer), Ok(()));
        assert!(LOG.take().iter().any(|report| report.contains("deadlock")));
    });
}

#[test]
fn a_reader_that_wants_to_write_waits_for_itself() {
    child::passes(|| {
        contain();
        let reader = spawn("reader", || {
            let _first = LOCK.read();
            let _second = LOCK.write();
        });
        let other = spawn("other", settle);
        S.run();
        assert_names(&end_of(reader).unwrap_err(), &["deadlock", "\"reader\""]);
        assert_eq!(end_of(other), Ok(()));
    });
}

#[test]
fn a_reader_that_wants_to_write_with_a_deadline_is_told_by_that() {
    child::passes(|| {
        contain();
        let reader = spawn("reader", || {
            let _first = LOCK.read();
            LOCK.write_timeout(Duration::from_millis(1))
                .map(|_guard| ())
        });
        S.run();
        assert_eq!(end_of(reader), Ok(Err(LockError::TimedOut)));
    });
}

#[test]
fn two_readers_that_both_want_to_write_are_in_a_deadlock() {
    child::passes(|| {
        contain();
        let readers = ["first", "second"].map(|name| {
            spawn(name, || {
                let first = LOCK.read();
                yield_now();
                let second = LOCK.write();
                drop((first, second));
            })
        });
        S.run();
        let ends = readers.map(end_of);
        assert!(ends.iter().any(Result::is_err), "{ends:?}");
    });
}

#[test]
fn readers_of_two_locks_that_want_to_write_the_others_are_in_a_deadlock() {
    child::passes(|| {
        contain();
        let readers =
            [("first", &LOCK, &OTHER), ("second", &OTHER, &LOCK)].map(|(name, mine, other)| {
                spawn(name, move || {
                    let _mine = mine.read();
                    yield_now();
                    *other.write() += 1;
                })
            });
        S.run();
        let ends = readers.map(end_of);
        assert_eq!(
            ends.iter().filter(|end| end.is_err()).count(),
            1,
            "{ends:?}"
        );
    });
}

#[test]
fn a_reader_that_reads_again_with_nobody_in_between_is_not_accused() {
    child::passes(|| {
        contain();
        let readers = ["first", "second"].map(|name| spawn(name, reads_twice));
        S.run();
        assert_eq!(readers.map(end_of), [Ok(()), Ok(())]);
        assert_eq!(LOG.take(), [""; 0]);
    });
}

#[test]
fn a_reader_behind_a_writer_that_waits_for_another_reader_is_not_accused() {
    child::passes(|| {
        contain();
        let first = spawn("first", || {
            let _guard = LOCK.read();
            settle();
        });
        let writer = spawn("writer", writes);
        let second = spawn("second", || *LOCK.read());
        S.run();
        assert_eq!(
            (end_of(first), end_of(writer), end_of(second)),
            (Ok(()), Ok(()), Ok(1))
        );
        assert_eq!(LOG.take(), [""; 0]);
    });
}
