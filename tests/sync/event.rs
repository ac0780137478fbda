//! The event group.

use crate::{panic_of, world};
use core::time::Duration;
use kfiber::platform::Host;
use kfiber::scheduler::{self, WaitError};
use kfiber::sync::bitflags::{Flag, Flags, bitflags};
use kfiber::sync::{Event, Wanted};

bitflags! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Irqs: u32 {
        const TIMER = 0b0001;
        const SERIAL = 0b0010;
        const DISK = 0b0100;
        const NETWORK = 0b1000;
        const MOST = 0b0111;
    }
}

#[test]
fn flags_are_set_cleared_and_tried() {
    let event = Event::new(Irqs::NETWORK);
    let both = Irqs::TIMER | Irqs::SERIAL;
    assert_eq!(event.set(both), both | Irqs::NETWORK);
    assert_eq!(event.clear(Irqs::TIMER), both | Irqs::NETWORK);
    let left = Irqs::SERIAL | Irqs::NETWORK;
    assert_eq!(event.get(), left);
    let wanted = Irqs::SERIAL | Irqs::DISK;
    assert_eq!(event.try_wait(Wanted::any(wanted)), Some(Irqs::SERIAL));
    assert_eq!(event.try_wait(Wanted::all(wanted)), None);
    assert_eq!(event.try_wait(Wanted::all(left).and_clear()), Some(left));
    let none = Irqs::empty();
    assert_eq!(event.get(), none);
    assert_eq!(event.try_wait(Wanted::all(none)), Some(none));
    assert_eq!(event.try_wait(Wanted::any(none)), None);
}

#[test]
fn flags_without_a_name_are_kept() {
    let [first, second] = [1 << 31, 1 << 20].map(Irqs::from_bits_retain);
    let event = Event::new(first);
    assert_eq!(event.set(second), first | second);
    let wanted = Wanted::all(first | second);
    assert_eq!(event.try_wait(wanted), Some(first | second));
    assert_eq!(event.clear(first), first | second);
    assert_eq!(event.try_wait(wanted), None);
    assert_eq!(event.get(), second);
}

#[test]
fn an_event_is_shown_with_the_names_of_its_flags() {
    let event = Event::new(Irqs::TIMER);
    event.set(Irqs::DISK);
    assert_eq!(format!("{event:?}"), "Event(Irqs(TIMER | DISK))");
}

/// Flags whose conversions let other fibers run, which is refused while interrupts are off.
#[derive(Clone, Copy)]
struct Slow(u32);

impl Flags for Slow {
    type Bits = u32;
    const FLAGS: &'static [Flag<Self>] = &[];

    fn bits(&self) -> u32 {
        scheduler::yield_now();
        self.0
    }

    fn from_bits_retain(bits: u32) -> Self {
        scheduler::yield_now();
        Self(bits)
    }
}

#[test]
fn conversions_of_flags_run_with_nothing_locked() {
    world!(S, CELLS);
    static EVENT: Event<Slow> = Event::new(Slow(0b001));
    let waits = S
        .spawn(&CELLS, || {
            let found = EVENT.wait(Wanted::all(Slow(0b111)).and_clear());
            found.map(|found| found.0)
        })
        .unwrap();
    let sets = S
        .spawn(&CELLS, || {
            let is_there = EVENT.try_wait(Wanted::any(Slow(0b010))).is_some();
            let first = EVENT.set(Slow(0b010));
            let before = EVENT.clear(Slow(0b1000));
            let last = EVENT.set(Slow(0b100));
            (
                is_there,
                [first, before, last, EVENT.get()].map(|set| set.0),
            )
        })
        .unwrap();
    S.run();
    assert_eq!(waits.try_join().unwrap(), Ok(0b111));
    assert_eq!(sets.try_join().unwrap(), (false, [0b011, 0b011, 0, 0]));
}

#[test]
fn any_and_all_wait_for_what_they_want() {
    world!(S, CELLS, LOG);
    static EVENT: Event<Irqs> = Event::new(Irqs::empty());
    let flags = Irqs::SERIAL | Irqs::DISK;
    for (name, wanted) in [("any", Wanted::any(flags)), ("all", Wanted::all(flags))] {
        S.spawn(&CELLS, move || {
            let found = EVENT.wait(wanted).unwrap();
            LOG.say(format!("{name}:{:03b}", found.bits()));
        })
        .unwrap()
        .detach();
    }
    for flags in [Irqs::TIMER, Irqs::DISK] {
        S.run_until_idle();
        EVENT.set(flags);
    }
    S.run_until_idle();
    assert_eq!(LOG.all(), "any:100");
    Host::interrupt(|| EVENT.set(Irqs::SERIAL));
    S.run();
    assert_eq!(LOG.all(), "any:100 all:110");
    assert_eq!(EVENT.get(), Irqs::MOST);
}

#[test]
fn one_that_clears_takes_its_flags_from_those_behind_it() {
    world!(S, CELLS, LOG);
    static EVENT: Event<Irqs> = Event::new(Irqs::empty());
    let looks = Wanted::any(Irqs::TIMER | Irqs::SERIAL);
    for (name, wanted) in [
        ("look", looks),
        ("take", looks.and_clear()),
        ("other", Wanted::any(Irqs::DISK).and_clear()),
        ("late", looks),
    ] {
        S.spawn(&CELLS, move || {
            let found = EVENT.wait(wanted).unwrap();
            LOG.say(format!("{name}:{:b}", found.bits()));
        })
        .unwrap()
        .detach();
    }
    S.run_until_idle();
    assert_eq!(EVENT.set(Irqs::TIMER | Irqs::DISK), Irqs::empty());
    S.run_until_idle();
    assert_eq!(LOG.all(), "look:1 take:1 other:100");
    EVENT.set(Irqs::SERIAL);
    S.run();
    assert_eq!(LOG.all(), "look:1 take:1 other:100 late:10");
}

#[test]
fn a_wait_times_out_and_takes_nothing() {
    world!(S, CELLS);
    static EVENT: Event<Irqs> = Event::new(Irqs::TIMER);
    let fiber = S
        .spawn(&CELLS, || {
            let wanted = Wanted::all(Irqs::TIMER | Irqs::SERIAL).and_clear();
            let late = EVENT.wait_timeout(wanted, Duration::from_nanos(4));
            let past = EVENT.wait_until(Wanted::any(Irqs::TIMER), 0);
            (late, past, scheduler::now())
        })
        .unwrap();
    S.run();
    let late = Err(WaitError::TimedOut);
    assert_eq!(fiber.try_join().unwrap(), (late, Ok(Irqs::TIMER), 4));
    let both = Irqs::TIMER | Irqs::SERIAL;
    assert_eq!(
        EVENT.set(Irqs::SERIAL),
        both,
        "nobody waits for it any more"
    );
}

#[test]
fn one_that_is_cancelled_takes_nothing_and_one_that_was_served_keeps_it() {
    world!(S, CELLS);
    static EVENT: Event<Irqs> = Event::new(Irqs::empty());
    let fibers = [(); 2].map(|()| {
        S.spawn(&CELLS, || EVENT.wait(Wanted::any(Irqs::TIMER).and_clear()))
            .unwrap()
    });
    S.run_until_idle();
    fibers[0].cancel();
    S.run_until_idle();
    EVENT.set(Irqs::TIMER);
    fibers[1].cancel();
    S.run();
    let results = fibers.map(|fiber| fiber.try_join().unwrap());
    assert_eq!(results, [Err(WaitError::Cancelled), Ok(Irqs::TIMER)]);
}

#[test]
fn waiting_where_it_is_forbidden_panics_even_for_what_is_set() {
    let event = Event::new(Irqs::TIMER);
    let message = panic_of(|| event.wait(Wanted::any(Irqs::TIMER).and_clear()));
    assert!(message.contains("outside of a fiber"), "{message}");
    assert_eq!(event.get(), Irqs::TIMER);
}
