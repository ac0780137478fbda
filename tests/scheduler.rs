//! The scheduler on the host.
#![expect(clippy::unwrap_used, reason = "a test says what failed by its line")]

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use kfiber::platform::Host;
use kfiber::scheduler::{self, FiberCell, FiberPool, Priority, Scheduler, WaitError};
use std::sync::Mutex;

#[test]
fn equals_take_turns() {
    static S: Scheduler<Host> = Scheduler::new(Host::new());
    static CELLS: FiberPool<65536, 3> = FiberPool::new();
    static LOG: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    let handles: Vec<_> = (0..3)
        .map(|number| {
            S.spawn(&CELLS, move || {
                for _ in 0..3 {
                    LOG.lock().unwrap().push(number);
                    scheduler::yield_now();
                }
                number
            })
            .unwrap()
        })
        .collect();
    assert!(S.spawn(&CELLS, || ()).is_err());
    S.run();
    assert_eq!(*LOG.lock().unwrap(), [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    for (number, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.try_join().unwrap() as usize, number);
    }
    assert!(S.spawn(&CELLS, || ()).is_ok());
}

#[test]
fn sleepers_wake_in_order() {
    static S: Scheduler<Host> = Scheduler::new(Host::new());
    static CELLS: FiberPool<65536, 10> = FiberPool::new();
    static LOG: Mutex<Vec<(u64, u32)>> = Mutex::new(Vec::new());
    for number in [5, 3, 9, 1, 7, 1, 5] {
        S.spawn(&CELLS, move || {
            scheduler::sleep(Duration::from_secs(number.into())).unwrap();
            LOG.lock()
                .unwrap()
                .push((scheduler::now() / 1_000_000_000, number));
        })
        .unwrap()
        .detach();
    }
    S.run();
    assert_eq!(
        *LOG.lock().unwrap(),
        [(1, 1), (1, 1), (3, 3), (5, 5), (5, 5), (7, 7), (9, 9)]
    );
}

#[test]
fn park_and_join_and_cancel_and_priorities() {
    static S: Scheduler<Host> = Scheduler::new(Host::new());
    static CELLS: FiberPool<65536, 10> = FiberPool::new();
    static MAIN: FiberCell<65536> = FiberCell::new();
    let main = S
        .spawn(&MAIN, || {
            let parked = S.spawn(&CELLS, scheduler::park).unwrap();
            scheduler::yield_now();
            Host::interrupt(|| assert!(parked.unparker().unpark()));
            assert_eq!(parked.join().unwrap(), Ok(()));
            let asleep = S.spawn(&CELLS, || scheduler::sleep(Duration::MAX)).unwrap();
            scheduler::yield_now();
            asleep.cancel();
            assert_eq!(asleep.join().unwrap(), Err(WaitError::Cancelled));
            let never = S.spawn(&CELLS, scheduler::park).unwrap();
            let never = never
                .join_timeout(Duration::from_secs(1))
                .unwrap_err()
                .handle;
            never.cancel();
            let urgent = S
                .builder()
                .priority(Priority::HIGHEST)
                .spawn(&CELLS, || 5)
                .unwrap();
            scheduler::yield_now();
            assert!(urgent.is_finished());
            never.join().unwrap().unwrap_err();
            urgent.join().unwrap()
        })
        .unwrap();
    S.run();
    assert_eq!(main.try_join().unwrap(), 5);
    assert_eq!(S.fibers().count(), 0);
}

#[test]
fn a_deadline_that_was_not_needed_does_not_keep_a_later_one_from_coming() {
    static S: Scheduler<Host> = Scheduler::new(Host::new());
    static CELLS: FiberPool<65536, 3> = FiberPool::new();
    let early = S
        .spawn(&CELLS, || scheduler::park_timeout(Duration::from_secs(10)))
        .unwrap();
    let waker = early.unparker();
    let late = S
        .spawn(&CELLS, move || {
            scheduler::yield_now();
            assert!(waker.unpark());
            scheduler::sleep(Duration::from_secs(20)).map(|()| scheduler::now())
        })
        .unwrap();
    S.run();
    assert_eq!(early.try_join().unwrap(), Ok(()));
    assert_eq!(late.try_join().unwrap(), Ok(20_000_000_000));
}

#[test]
fn fibers_that_never_yield_look_into_the_inbox_too() {
    static S: Scheduler<Host> = Scheduler::new(Host::new());
    static CELLS: FiberPool<65536, 5> = FiberPool::new();
    static WAS_WOKEN: AtomicBool = AtomicBool::new(false);
    let parked = S
        .spawn(&CELLS, || {
            scheduler::park().unwrap();
            WAS_WOKEN.store(true, Ordering::Relaxed);
        })
        .unwrap();
    // Two fibers, each of which waits for the end of one that the other lets run: somebody is always ready.
    let turns = [parked.unparker(); 2].map(|waker| {
        S.spawn(&CELLS, move || {
            for turn in 0..20 {
                if turn == 10 {
                    Host::interrupt(|| waker.unpark());
                }
                if WAS_WOKEN.load(Ordering::Relaxed) {
                    return turn;
                }
                S.spawn(&CELLS, || ()).unwrap().join().unwrap();
            }
            20
        })
        .unwrap()
    });
    S.run();
    let turns = turns.map(|turn| turn.try_join().unwrap());
    assert!(
        turns.iter().all(|turn| (10..13).contains(turn)),
        "{turns:?}"
    );
}

#[test]
fn a_scheduler_stays_on_the_thread_where_it_ran_first() {
    static S: Scheduler<Host> = Scheduler::new(Host::new());
    static CELL: FiberCell<65536> = FiberCell::new();
    let fiber = S.spawn(&CELL, scheduler::park).unwrap();
    std::thread::spawn(|| S.run_until_idle()).join().unwrap();
    let elsewhere = std::panic::catch_unwind(|| S.run_until_idle()).unwrap_err();
    let message = elsewhere.downcast_ref::<&str>().unwrap();
    assert!(message.contains("another thread"), "{message}");
    assert!(!fiber.is_finished());
    fiber.detach(); // its thread is gone, so it can never end
}

/// Their stored stack pointers are in other stacks than their own.
#[test]
#[cfg_attr(
    any(miri, kfiber_threads),
    ignore = "a thread that stands in for a `Fiber` is no fiber of the scheduler"
)]
fn fibers_wait_within_asymmetric_ones() {
    use kfiber::fiber::{Fiber, Resumed, Yielder};
    use kfiber::stack::{Stack, Storage as _};
    static S: Scheduler<Host> = Scheduler::new(Host::new());
    static CELLS: FiberPool<65536, 3> = FiberPool::new();
    static STACKS: [Stack<65536>; 3] = [const { Stack::new() }; 3];
    let wait = |stack: &'static Stack<65536>| {
        let body = |_: &Yielder<(), ()>, ()| {
            for _ in 0..10 {
                scheduler::sleep(Duration::from_micros(100)).unwrap();
                scheduler::yield_now();
            }
            42
        };
        let mut inner = Fiber::new(stack.take().unwrap(), body).unwrap();
        match inner.resume(()) {
            Resumed::Returned(answer) => answer,
            Resumed::Yielded(()) => 0,
        }
    };
    let fibers = STACKS
        .each_ref()
        .map(|stack| S.spawn(&CELLS, move || wait(stack)).unwrap());
    S.run();
    for fiber in fibers {
        assert_eq!(fiber.try_join().unwrap(), 42);
    }
}
