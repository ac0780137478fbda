//! Waking: by stale ids, twice, after the end, before the wait; and cancelling with shields.

use super::{fresh, in_fiber};
use core::time::Duration;
use kfiber::platform::Host;
use kfiber::scheduler::{self, WaitError};

#[test]
fn waking_a_fiber_that_has_ended_says_so_and_does_nothing() {
    let (scheduler, cells) = fresh();
    let fiber = scheduler.spawn(cells, || ()).unwrap();
    let waker = fiber.unparker();
    assert!(waker.unpark());
    scheduler.run();
    assert!(
        !waker.unpark(),
        "its result is still there, but it has ended"
    );
    fiber.try_join().unwrap();
    assert!(!waker.unpark());
    assert!(!Host::interrupt(|| waker.unpark()));
}

#[test]
fn a_stale_id_does_not_wake_the_next_fiber_of_the_cell() {
    static CELL: scheduler::FiberCell<65536> = scheduler::FiberCell::new();
    let (scheduler, _) = fresh();
    let old = scheduler.spawn(&CELL, || ()).unwrap();
    let (waker, id) = (old.unparker(), old.id());
    scheduler.run();
    old.try_join().unwrap();
    let new = scheduler
        .spawn(&CELL, || scheduler::park_timeout(Duration::from_secs(1)))
        .unwrap();
    assert_ne!(new.id(), id);
    assert!(!waker.unpark());
    scheduler.run();
    assert_eq!(new.try_join().unwrap(), Err(WaitError::TimedOut));
}

#[test]
fn waking_twice_is_waking_once() {
    in_fiber(|_, _| {
        let waker = scheduler::unparker().unwrap();
        assert!(waker.unpark());
        assert!(waker.unpark());
        assert_eq!(scheduler::park(), Ok(()));
        let second = scheduler::park_timeout(Duration::from_secs(1));
        assert_eq!(second, Err(WaitError::TimedOut));
    });
}

#[test]
fn waking_twice_while_parked_runs_the_fiber_once() {
    let switches = in_fiber(|scheduler, cells| {
        let fiber = scheduler.spawn(cells, scheduler::park).unwrap();
        scheduler::yield_now();
        assert!(fiber.unparker().unpark());
        assert!(Host::interrupt(|| fiber.unparker().unpark()));
        scheduler::yield_now();
        scheduler::yield_now();
        let info = scheduler.fibers().find(|info| info.id == fiber.id());
        fiber.join().unwrap().unwrap();
        info.unwrap().switches
    });
    assert_eq!(switches, 2);
}

#[test]
fn a_wake_before_the_first_run_is_kept() {
    let (scheduler, cells) = fresh();
    let fiber = scheduler.spawn(cells, scheduler::park).unwrap();
    assert!(fiber.unparker().unpark());
    scheduler.run();
    assert_eq!(fiber.try_join().unwrap(), Ok(()));
}

#[test]
fn a_wake_does_not_end_a_sleep() {
    let now = in_fiber(|scheduler, cells| {
        let fiber = scheduler.spawn(cells, || {
            scheduler::sleep(Duration::from_secs(5)).unwrap();
            (scheduler::now(), scheduler::park())
        });
        let fiber = fiber.unwrap();
        scheduler::yield_now();
        assert!(fiber.unparker().unpark());
        fiber.join().unwrap()
    });
    assert_eq!(now, (5_000_000_000, Ok(())), "and the token is kept");
}

#[test]
fn a_wake_comes_from_another_thread() {
    let (scheduler, cells) = fresh();
    let fiber = scheduler.spawn(cells, scheduler::park).unwrap();
    let waker = fiber.unparker();
    let thread = std::thread::spawn(move || waker.unpark());
    scheduler.run();
    assert!(thread.join().unwrap());
    assert_eq!(fiber.try_join().unwrap(), Ok(()));
}

#[test]
fn an_interrupt_at_idle_ends_a_park() {
    let (scheduler, cells) = fresh();
    let fiber = scheduler.spawn(cells, scheduler::park).unwrap();
    scheduler.run_until_idle();
    assert!(!fiber.is_finished());
    assert!(Host::interrupt(|| fiber.unparker().unpark()));
    scheduler.run_until_idle();
    assert_eq!(fiber.try_join().unwrap(), Ok(()));
}

#[test]
fn two_schedulers_wake_each_others_fibers() {
    let ((first, first_cells), (second, second_cells)) = (fresh(), fresh());
    let rounds = if cfg!(miri) { 3 } else { 200 };
    let pong = second.spawn(second_cells, move || {
        for _ in 0..rounds {
            scheduler::park().unwrap();
        }
        scheduler::now()
    });
    let pong = pong.unwrap();
    let to_pong = pong.unparker();
    let ping = first.spawn(first_cells, move || {
        while to_pong.unpark() {
            scheduler::yield_now();
        }
        // The other has ended: nothing keeps its result from being joined here.
        scheduler::block_on(pong)
    });
    let thread = std::thread::spawn(|| second.run());
    first.run();
    thread.join().unwrap();
    assert_eq!(ping.unwrap().try_join().unwrap(), Ok(0));
}

#[test]
fn a_fiber_of_another_scheduler_is_joined() {
    let ((first, first_cells), (second, second_cells)) = (fresh(), fresh());
    for _ in 0..if cfg!(miri) { 2 } else { 100 } {
        let there = second.spawn(second_cells, || 5).unwrap();
        let here = first
            .spawn(first_cells, move || there.join().unwrap())
            .unwrap();
        let thread = std::thread::spawn(|| second.run());
        first.run();
        thread.join().unwrap();
        assert_eq!(here.try_join().unwrap(), 5);
    }
}

#[test]
fn a_token_is_not_lost_to_a_deadline() {
    in_fiber(|_, _| {
        scheduler::unparker().unwrap().unpark();
        assert_eq!(scheduler::park_until(0), Ok(()), "looked before the clock");
        assert_eq!(scheduler::park_until(0), Err(WaitError::TimedOut));
    });
}

#[test]
fn a_cancelled_fiber_takes_a_token_first() {
    in_fiber(|scheduler, cells| {
        let fiber = scheduler
            .spawn(cells, || (scheduler::park(), scheduler::park()))
            .unwrap();
        assert!(fiber.unparker().unpark());
        fiber.cancel();
        assert_eq!(fiber.join().unwrap(), (Ok(()), Err(WaitError::Cancelled)));
    });
}

#[test]
fn shields_hide_a_cancellation_until_the_outermost_ends() {
    in_fiber(|scheduler, cells| {
        let fiber = scheduler.spawn(cells, || {
            scheduler::yield_now();
            let inner = scheduler::shield(|| {
                let inner = scheduler::shield(|| scheduler::sleep(Duration::from_secs(1)));
                assert!(!scheduler::is_cancelled(), "one shield is still up");
                (inner, scheduler::check_cancelled())
            });
            (
                inner,
                scheduler::is_cancelled(),
                scheduler::sleep(Duration::from_secs(1)),
            )
        });
        let fiber = fiber.unwrap();
        fiber.cancel();
        let seen = fiber.join().unwrap();
        assert_eq!(seen, ((Ok(()), Ok(())), true, Err(WaitError::Cancelled)));
    });
}

#[test]
fn a_shield_comes_down_when_its_function_unwinds() {
    in_fiber(|scheduler, cells| {
        let fiber = scheduler.spawn(cells, || {
            super::message_of(|| scheduler::shield(|| panic!("half-way")));
            scheduler::park()
        });
        let fiber = fiber.unwrap();
        fiber.cancel();
        assert_eq!(fiber.join().unwrap(), Err(WaitError::Cancelled));
    });
}

#[test]
fn the_256th_shield_panics() {
    fn raise(count: u32) {
        if count > 0 {
            scheduler::shield(|| raise(count - 1));
        }
    }
    let message = in_fiber(|_, _| {
        raise(255);
        let message = super::message_of(|| raise(256));
        raise(255);
        message
    });
    assert!(message.contains("255 calls of `shield`"), "{message}");
}

#[test]
fn a_cancelled_sleeper_ends_at_once() {
    let now = in_fiber(|scheduler, cells| {
        let fiber = scheduler
            .spawn(cells, || scheduler::sleep(Duration::from_secs(9)))
            .unwrap();
        scheduler::yield_now();
        fiber.cancel();
        assert_eq!(fiber.join().unwrap(), Err(WaitError::Cancelled));
        scheduler::now()
    });
    assert_eq!(now, 0);
}
