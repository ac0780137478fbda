//! Joining: oneself, in a cycle, after the end, twice; and handles that are dropped.

use super::{fresh, in_fiber, message_of};
use core::time::Duration;
use kfiber::scheduler::{self, JoinErrorKind, JoinHandle, WaitError};
use std::sync::{Arc, Mutex};

type Slot = Arc<Mutex<Option<JoinHandle<u32>>>>;

fn take(slot: &Slot) -> JoinHandle<u32> {
    slot.lock().unwrap().take().unwrap()
}

#[test]
fn joining_oneself_is_refused_and_the_handle_comes_back() {
    let (scheduler, cells) = fresh();
    let own = Slot::default();
    let inner = Arc::clone(&own);
    let fiber = scheduler.spawn(cells, move || {
        let error = take(&inner).join().unwrap_err();
        assert_eq!(error.kind, JoinErrorKind::Deadlock);
        let error = error
            .handle
            .join_timeout(Duration::from_secs(1))
            .unwrap_err();
        assert_eq!(error.kind, JoinErrorKind::Deadlock);
        *inner.lock().unwrap() = Some(error.handle);
        8
    });
    *own.lock().unwrap() = Some(fiber.unwrap());
    scheduler.run();
    assert_eq!(take(&own).try_join().unwrap(), 8);
}

/// `count` fibers, each of which joins the next one, and the last the first.
fn cycle(count: usize) {
    let (scheduler, cells) = fresh();
    let slots: Vec<Slot> = (0..count).map(|_| Slot::default()).collect();
    let refused = Arc::new(Mutex::new(Vec::new()));
    for number in 0..count {
        let (next, refused) = (
            Arc::clone(&slots[(number + 1) % count]),
            Arc::clone(&refused),
        );
        let fiber = scheduler.spawn(cells, move || match take(&next).join() {
            Ok(value) => value + 1,
            Err(error) => {
                assert_eq!(error.kind, JoinErrorKind::Deadlock);
                refused.lock().unwrap().push(number);
                1
            }
        });
        *slots[number].lock().unwrap() = Some(fiber.unwrap());
    }
    scheduler.run();
    assert_eq!(
        *refused.lock().unwrap(),
        [count - 1],
        "the one that would close it"
    );
    assert_eq!(scheduler.fibers().count(), 0);
}

#[test]
fn a_cycle_of_two_is_refused_where_it_would_close() {
    cycle(2);
}

#[test]
fn a_cycle_of_three_is_refused_where_it_would_close() {
    cycle(3);
}

#[test]
fn a_cycle_of_four_is_refused_where_it_would_close() {
    cycle(4);
}

#[test]
fn joining_after_the_end_returns_at_once() {
    let (now, value) = in_fiber(|scheduler, cells| {
        let fiber = scheduler.spawn(cells, || 4).unwrap();
        scheduler::yield_now();
        assert!(fiber.is_finished());
        (scheduler::now(), fiber.join().unwrap())
    });
    assert_eq!((now, value), (0, 4));
}

#[test]
fn joining_before_the_start_waits() {
    assert_eq!(
        in_fiber(|s, cells| s.spawn(cells, || 4).unwrap().join().unwrap()),
        4
    );
}

#[test]
fn trying_to_join_too_early_gives_the_handle_back() {
    let (scheduler, cells) = fresh();
    let fiber = scheduler.spawn(cells, || 4).unwrap();
    let error = fiber.try_join().unwrap_err();
    assert_eq!(error.kind, JoinErrorKind::NotFinished);
    assert!(error.to_string().contains("has not ended yet"));
    scheduler.run();
    assert_eq!(error.handle.try_join().unwrap(), 4);
}

#[test]
fn a_join_that_took_too_long_gives_the_handle_back() {
    in_fiber(|scheduler, cells| {
        let fiber = scheduler
            .spawn(cells, || scheduler::sleep(Duration::from_secs(3)))
            .unwrap();
        let error = fiber.join_timeout(Duration::from_secs(2)).unwrap_err();
        assert_eq!(error.kind, JoinErrorKind::TimedOut);
        assert_eq!(scheduler::now(), 2_000_000_000);
        error.handle.join().unwrap().unwrap();
        assert_eq!(scheduler::now(), 3_000_000_000);
    });
}

#[test]
fn a_join_with_no_time_at_all_asks_once() {
    in_fiber(|scheduler, cells| {
        let fiber = scheduler.spawn(cells, || 4).unwrap();
        let error = fiber.join_timeout(Duration::ZERO).unwrap_err();
        assert_eq!(error.kind, JoinErrorKind::TimedOut);
        scheduler::yield_now();
        assert_eq!(error.handle.join_timeout(Duration::ZERO).unwrap(), 4);
    });
}

#[test]
fn a_joiner_that_is_cancelled_gets_the_handle_back() {
    in_fiber(|scheduler, cells| {
        let inner = scheduler
            .spawn(cells, || scheduler::sleep(Duration::from_secs(1)))
            .unwrap();
        let outer = scheduler.spawn(cells, move || {
            let error = inner.join().unwrap_err();
            assert_eq!(error.kind, JoinErrorKind::Cancelled);
            scheduler::shield(|| error.handle.join()).unwrap()
        });
        let outer = outer.unwrap();
        scheduler::yield_now();
        outer.cancel();
        outer.join().unwrap().unwrap();
    });
}

#[test]
fn a_fiber_that_nobody_joins_any_more_is_not_waited_for() {
    in_fiber(|scheduler, cells| {
        let fiber = scheduler
            .spawn(cells, || scheduler::sleep(Duration::from_secs(9)))
            .unwrap();
        let error = fiber.join_timeout(Duration::from_secs(1)).unwrap_err();
        error.handle.detach();
        scheduler::sleep(Duration::from_secs(20)).unwrap();
        assert_eq!(scheduler.fibers().count(), 1, "the caller");
    });
}

#[test]
fn a_handle_dropped_before_the_end_lets_the_fiber_run_on() {
    let (scheduler, cells) = fresh();
    let seen = Arc::new(Mutex::new(0));
    let inner = Arc::clone(&seen);
    drop(scheduler.spawn(cells, move || {
        scheduler::yield_now();
        *inner.lock().unwrap() = 3;
    }));
    scheduler.run();
    assert_eq!(*seen.lock().unwrap(), 3);
    assert_eq!(scheduler.fibers().count(), 0);
}

#[test]
fn a_handle_dropped_after_the_end_drops_the_result_and_frees_the_cell() {
    let (scheduler, cells) = fresh();
    let value = Arc::new(());
    let inner = Arc::clone(&value);
    let fiber = scheduler.spawn(cells, move || inner).unwrap();
    scheduler.run();
    assert_eq!(Arc::strong_count(&value), 2);
    assert_eq!(scheduler.fibers().count(), 1, "its result is still there");
    drop(fiber);
    assert_eq!(Arc::strong_count(&value), 1);
    assert_eq!(scheduler.fibers().count(), 0);
}

#[test]
fn joining_outside_of_fibers_panics_and_says_what_to_do() {
    let (scheduler, cells) = fresh();
    let fiber = scheduler.spawn(cells, || ()).unwrap();
    let message = message_of(|| fiber.join());
    assert!(message.contains("outside of a fiber"), "{message}");
    scheduler.run();
}

#[test]
fn a_result_is_joined_by_another_thread_and_the_cell_is_used_again() {
    let (scheduler, cells) = fresh();
    let fiber = scheduler.spawn(cells, || String::from("sent")).unwrap();
    scheduler.run();
    let text = std::thread::spawn(move || fiber.try_join().unwrap())
        .join()
        .unwrap();
    assert_eq!(text, "sent");
    assert_eq!(scheduler.fibers().count(), 0);
}

#[test]
fn cancelling_twice_is_cancelling_once() {
    in_fiber(|scheduler, cells| {
        let fiber = scheduler.spawn(cells, scheduler::park).unwrap();
        fiber.cancel();
        fiber.cancel();
        assert_eq!(fiber.join().unwrap(), Err(WaitError::Cancelled));
    });
}

#[test]
fn cancelling_a_fiber_that_has_ended_does_nothing() {
    in_fiber(|scheduler, cells| {
        let fiber = scheduler.spawn(cells, || 6).unwrap();
        scheduler::yield_now();
        fiber.cancel();
        assert_eq!(fiber.join().unwrap(), 6);
        let next = scheduler.spawn(cells, scheduler::is_cancelled).unwrap();
        assert!(!next.join().unwrap());
    });
}

#[test]
fn errors_of_joining_say_what_was_wrong() {
    let (scheduler, cells) = fresh();
    let fiber = scheduler.spawn(cells, || ()).unwrap();
    let mut error = fiber.try_join().unwrap_err();
    for (kind, phrase) in [
        (JoinErrorKind::NotFinished, "`join` waits"),
        (JoinErrorKind::TimedOut, "the deadline passed"),
        (JoinErrorKind::Cancelled, "was cancelled"),
        (JoinErrorKind::Deadlock, "neither would ever end"),
    ] {
        error.kind = kind;
        assert!(error.to_string().contains(phrase), "{error}");
        assert!(format!("{error:?}").contains(&format!("{kind:?}")));
    }
    scheduler.run();
}
