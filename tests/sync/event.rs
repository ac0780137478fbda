//! The event group.

use crate::{panic_of, world};
use core::time::Duration;
use kfiber::platform::Host;
use kfiber::scheduler::{self, WaitError};
use kfiber::sync::{Event, Wanted};

#[test]
fn flags_are_set_cleared_and_tried() {
    let event = Event::new(0b1000);
    assert_eq!(event.set(0b0011), 0b1011);
    assert_eq!(event.clear(0b0001), 0b1011);
    assert_eq!(event.get(), 0b1010);
    assert_eq!(event.try_wait(Wanted::any(0b0110)), Some(0b0010));
    assert_eq!(event.try_wait(Wanted::all(0b0110)), None);
    assert_eq!(
        event.try_wait(Wanted::all(0b1010).and_clear()),
        Some(0b1010)
    );
    assert_eq!(event.get(), 0);
    assert_eq!(event.try_wait(Wanted::all(0)), Some(0));
    assert_eq!(event.try_wait(Wanted::any(0)), None);
}

#[test]
fn any_and_all_wait_for_what_they_want() {
    world!(S, CELLS, LOG);
    static EVENT: Event = Event::new(0);
    for (name, wanted) in [("any", Wanted::any(0b110)), ("all", Wanted::all(0b110))] {
        S.spawn(&CELLS, move || {
            let found = EVENT.wait(wanted).unwrap();
            LOG.say(format!("{name}:{found:03b}"));
        })
        .unwrap()
        .detach();
    }
    for flags in [0b001, 0b100] {
        S.run_until_idle();
        EVENT.set(flags);
    }
    S.run_until_idle();
    assert_eq!(LOG.all(), "any:100");
    Host::interrupt(|| EVENT.set(0b010));
    S.run();
    assert_eq!(LOG.all(), "any:100 all:110");
    assert_eq!(EVENT.get(), 0b111);
}

#[test]
fn one_that_clears_takes_its_flags_from_those_behind_it() {
    world!(S, CELLS, LOG);
    static EVENT: Event = Event::new(0);
    let looks = Wanted::any(0b11);
    for (name, wanted) in [
        ("look", looks),
        ("take", looks.and_clear()),
        ("other", Wanted::any(0b100).and_clear()),
        ("late", looks),
    ] {
        S.spawn(&CELLS, move || {
            let found = EVENT.wait(wanted).unwrap();
            LOG.say(format!("{name}:{found:b}"));
        })
        .unwrap()
        .detach();
    }
    S.run_until_idle();
    assert_eq!(EVENT.set(0b101), 0);
    S.run_until_idle();
    assert_eq!(LOG.all(), "look:1 take:1 other:100");
    EVENT.set(0b10);
    S.run();
    assert_eq!(LOG.all(), "look:1 take:1 other:100 late:10");
}

#[test]
fn a_wait_times_out_and_takes_nothing() {
    world!(S, CELLS);
    static EVENT: Event = Event::new(0b1);
    let fiber = S
        .spawn(&CELLS, || {
            let wanted = Wanted::all(0b11).and_clear();
            let late = EVENT.wait_timeout(wanted, Duration::from_nanos(4));
            let past = EVENT.wait_until(Wanted::any(0b1), 0);
            (late, past, scheduler::now())
        })
        .unwrap();
    S.run();
    let late = Err(WaitError::TimedOut);
    assert_eq!(fiber.try_join().unwrap(), (late, Ok(1), 4));
    assert_eq!(EVENT.set(0b10), 0b11, "nobody waits for it any more");
}

#[test]
fn one_that_is_cancelled_takes_nothing_and_one_that_was_served_keeps_it() {
    world!(S, CELLS);
    static EVENT: Event = Event::new(0);
    let fibers = [(); 2].map(|()| {
        S.spawn(&CELLS, || EVENT.wait(Wanted::any(1).and_clear()))
            .unwrap()
    });
    S.run_until_idle();
    fibers[0].cancel();
    S.run_until_idle();
    EVENT.set(1);
    fibers[1].cancel();
    S.run();
    let results = fibers.map(|fiber| fiber.try_join().unwrap());
    assert_eq!(results, [Err(WaitError::Cancelled), Ok(1)]);
}

#[test]
fn waiting_where_it_is_forbidden_panics_even_for_what_is_set() {
    let event = Event::new(1);
    let message = panic_of(|| event.wait(Wanted::any(1).and_clear()));
    assert!(message.contains("outside of a fiber"), "{message}");
    assert_eq!(event.get(), 1);
}
