//! Deadlines in the past and at the end of time, names of any length, and priorities.

use super::{fresh, in_fiber};
use core::time::Duration;
use kfiber::platform::{Host, NEVER};
use kfiber::scheduler::{self, Priority, WaitError};
use std::sync::{Arc, Mutex};

#[test]
fn a_deadline_in_the_past_lets_the_others_run_once() {
    in_fiber(|scheduler, cells| {
        scheduler.platform().advance(100);
        let other = scheduler.spawn(cells, || ()).unwrap();
        assert_eq!(scheduler::sleep_until(50), Ok(()));
        assert!(other.is_finished());
        assert_eq!(scheduler::now(), 100);
    });
}

#[test]
fn a_sleep_of_no_time_lets_the_others_run_once() {
    in_fiber(|scheduler, cells| {
        let other = scheduler.spawn(cells, || ()).unwrap();
        assert_eq!(scheduler::sleep(Duration::ZERO), Ok(()));
        assert!(other.is_finished());
    });
}

#[test]
fn a_park_past_its_deadline_times_out_at_once() {
    in_fiber(|scheduler, _| {
        scheduler.platform().advance(100);
        assert_eq!(scheduler::park_until(0), Err(WaitError::TimedOut));
        assert_eq!(scheduler::park_until(100), Err(WaitError::TimedOut));
        assert_eq!(
            scheduler::park_timeout(Duration::ZERO),
            Err(WaitError::TimedOut)
        );
        assert_eq!(scheduler::now(), 100);
    });
}

#[test]
fn the_end_of_time_never_comes() {
    in_fiber(|scheduler, cells| {
        let sleepers = [
            scheduler
                .spawn(cells, || scheduler::sleep(Duration::MAX))
                .unwrap(),
            scheduler
                .spawn(cells, || scheduler::sleep_until(NEVER))
                .unwrap(),
            scheduler
                .spawn(cells, || scheduler::park_timeout(Duration::MAX))
                .unwrap(),
        ];
        scheduler::sleep_until(NEVER - 1).unwrap();
        assert_eq!(scheduler::now(), NEVER - 1);
        for sleeper in sleepers {
            assert!(!sleeper.is_finished());
            sleeper.cancel();
            assert_eq!(sleeper.join().unwrap(), Err(WaitError::Cancelled));
        }
    });
}

#[test]
fn sums_of_times_end_at_the_end_of_time() {
    in_fiber(|scheduler, _| {
        assert_eq!(scheduler::after(Duration::from_nanos(7)), 7);
        scheduler.platform().advance(NEVER - 10);
        assert_eq!(scheduler::after(Duration::from_nanos(9)), NEVER - 1);
        assert_eq!(scheduler::after(Duration::from_nanos(10)), NEVER);
        assert_eq!(scheduler::after(Duration::from_nanos(11)), NEVER);
        assert_eq!(scheduler::after(Duration::MAX), NEVER);
        scheduler::sleep(Duration::from_nanos(9)).unwrap();
        assert_eq!(scheduler::now(), NEVER - 1);
    });
}

#[test]
fn equal_deadlines_wake_in_the_order_of_arrival() {
    let (scheduler, cells) = fresh();
    let order = Arc::new(Mutex::new(Vec::new()));
    for number in 0..4 {
        let order = Arc::clone(&order);
        let fiber = scheduler.spawn(cells, move || {
            scheduler::sleep_until(1000).unwrap();
            order.lock().unwrap().push(number);
        });
        fiber.unwrap().detach();
    }
    scheduler.run();
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3]);
}

#[test]
fn a_timer_interrupt_wakes_a_sleeper_while_others_only_yield() {
    in_fiber(|scheduler, cells| {
        let sleeper = scheduler
            .spawn(cells, || scheduler::sleep(Duration::from_nanos(10)))
            .unwrap();
        scheduler::yield_now();
        Host::interrupt(|| scheduler.timer_interrupt());
        scheduler::yield_now();
        assert!(!sleeper.is_finished(), "too early");
        scheduler.platform().advance(10);
        Host::interrupt(|| {
            scheduler.timer_interrupt();
            scheduler.timer_interrupt();
        });
        scheduler::yield_now();
        scheduler::yield_now();
        assert!(sleeper.is_finished());
    });
}

#[test]
fn a_timer_interrupt_before_the_first_run_does_no_harm() {
    let (scheduler, cells) = fresh();
    Host::interrupt(|| scheduler.timer_interrupt());
    let fiber = scheduler.spawn(cells, || 2).unwrap();
    scheduler.run();
    assert_eq!(fiber.try_join().unwrap(), 2);
}

/// The name that a fiber has that is given this one, as it sees it and as the list shows it.
fn name_of(name: &'static str) -> &'static str {
    let (scheduler, cells) = fresh();
    let fiber = scheduler
        .builder()
        .name(name)
        .spawn(cells, scheduler::current_name)
        .unwrap();
    let shown = scheduler.fibers().next().unwrap().name;
    scheduler.run();
    assert_eq!(fiber.try_join().unwrap(), shown);
    shown
}

fn of_length(bytes: usize) -> &'static str {
    Box::leak("n".repeat(bytes).into_boxed_str())
}

#[test]
fn names_up_to_255_bytes_are_kept() {
    for bytes in [0, 1, 254, 255] {
        assert_eq!(name_of(of_length(bytes)), of_length(bytes));
    }
}

#[test]
fn longer_names_are_cut_at_255_bytes() {
    for bytes in [256, 257, 511, 512, 10_000] {
        assert_eq!(name_of(of_length(bytes)), of_length(255));
    }
}

#[test]
fn a_name_is_cut_at_the_end_of_a_character() {
    for (character, bytes) in [("é", 254), ("€", 255), ("🧵", 252)] {
        let name: &'static str = Box::leak(character.repeat(200).into_boxed_str());
        assert_eq!(name_of(name).len(), bytes, "{character}");
        assert!(name.starts_with(name_of(name)));
    }
}

#[test]
fn a_name_is_that_of_one_fiber_only() {
    in_fiber(|scheduler, cells| {
        assert_eq!(scheduler::current_name(), "");
        let named = scheduler
            .builder()
            .name("named")
            .spawn(cells, scheduler::current_name);
        assert_eq!(named.unwrap().join().unwrap(), "named");
        // Most likely in the same cell.
        for _ in 0..4 {
            let plain = scheduler.spawn(cells, scheduler::current_name);
            assert_eq!(plain.unwrap().join().unwrap(), "");
        }
    });
}

#[test]
fn priorities_go_from_0_to_31() {
    assert_eq!(Priority::new(0), Some(Priority::LOWEST));
    assert_eq!(Priority::new(31), Some(Priority::HIGHEST));
    assert_eq!(Priority::new(16), Some(Priority::default()));
    assert_eq!(Priority::new(32), None);
    assert_eq!(Priority::new(255), None);
    assert!(Priority::LOWEST < Priority::NORMAL && Priority::NORMAL < Priority::HIGHEST);
    assert_eq!((0..=255).filter_map(Priority::new).count(), Priority::COUNT);
    assert_eq!(Priority::new(9).unwrap().level(), 9);
}

#[test]
fn all_priorities_run_from_the_highest_to_the_lowest() {
    static CELLS: scheduler::FiberPool<65536, 32> = scheduler::FiberPool::new();
    let (scheduler, _) = fresh();
    let order = Arc::new(Mutex::new(Vec::new()));
    for level in 0..32 {
        let order = Arc::clone(&order);
        let builder = scheduler.builder().priority(Priority::new(level).unwrap());
        let fiber = builder.spawn(&CELLS, move || {
            scheduler::yield_now();
            order.lock().unwrap().push(level);
        });
        fiber.unwrap().detach();
    }
    scheduler.run();
    assert!(order.lock().unwrap().iter().copied().eq((0..32).rev()));
}

#[test]
fn a_ready_fiber_runs_after_at_most_as_many_switches_as_it_has_equals() {
    let (scheduler, cells) = fresh();
    let log = Arc::new(Mutex::new(Vec::new()));
    for number in 0..4 {
        let log = Arc::clone(&log);
        let fiber = scheduler.spawn(cells, move || {
            for _ in 0..10 {
                log.lock().unwrap().push(number);
                scheduler::yield_now();
            }
        });
        fiber.unwrap().detach();
    }
    scheduler.run();
    let log = log.lock().unwrap();
    for window in log.windows(4) {
        for number in 0..4 {
            assert!(window.contains(&number), "{window:?}");
        }
    }
}

#[test]
fn a_more_urgent_fiber_that_an_interrupt_wakes_runs_at_the_next_yield() {
    in_fiber(|scheduler, cells| {
        let builder = scheduler.builder().priority(Priority::HIGHEST);
        let urgent = builder.spawn(cells, scheduler::park).unwrap();
        let other = scheduler.spawn(cells, scheduler::park).unwrap();
        scheduler::yield_now();
        Host::interrupt(|| {
            other.unparker().unpark();
            urgent.unparker().unpark()
        });
        scheduler::yield_now();
        assert!(urgent.is_finished());
        scheduler::yield_now();
        assert!(other.is_finished());
    });
}

#[test]
fn a_less_urgent_fiber_waits_until_the_others_wait() {
    in_fiber(|scheduler, cells| {
        let builder = scheduler.builder().priority(Priority::LOWEST);
        let idle = builder.spawn(cells, || ()).unwrap();
        for _ in 0..20 {
            scheduler::yield_now();
            assert!(!idle.is_finished());
        }
        scheduler::sleep(Duration::from_nanos(1)).unwrap();
        assert!(idle.is_finished());
    });
}
