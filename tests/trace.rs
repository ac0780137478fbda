//! The flight recorder on a host: what is recorded, what is overwritten, and what an export contains.
#![cfg(all(feature = "trace", target_os = "linux"))]

use kfiber::platform::Host;
use kfiber::scheduler::{self, FiberPool, Scheduler};
use kfiber::trace::{Label, Recorder};
use std::string::String;

static POINT: Label = Label::new("point");

/// A scheduler and a recorder of a test's own.
macro_rules! kernel {
    ($events:literal) => {
        static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
        static RECORDER: Recorder<$events> = Recorder::new();
    };
    ($events:literal, fibers) => {
        kernel!($events);
        static CELLS: FiberPool<65536, 4> = FiberPool::new();
    };
}

/// The lines of a report without their times.
fn lines(recorder: &impl core::fmt::Display) -> Vec<String> {
    let text = recorder.to_string();
    let without_time = |line: &str| {
        let line = line
            .trim_start()
            .split_once(' ')
            .map_or("", |(_time, rest)| rest);
        line.trim_start().trim_start_matches("core 0 ").to_owned()
    };
    text.lines().map(without_time).collect()
}

#[test]
fn events_are_recorded_in_their_order() {
    kernel!(256, fibers);
    RECORDER.start(&SCHEDULER);
    let ann = SCHEDULER.builder().name("ann").spawn(&CELLS, || {
        scheduler::yield_now();
        POINT.mark(3);
    });
    let bob = SCHEDULER
        .builder()
        .name("bob")
        .spawn(&CELLS, scheduler::yield_now);
    SCHEDULER.run();
    RECORDER.stop();
    POINT.mark(4); // nobody records it
    let expected = [
        "?: spawns \"ann\"",
        "?: spawns \"bob\"",
        "?: switches to \"ann\"",
        "\"ann\": switches to \"bob\"",
        "\"bob\": switches to \"ann\"",
        "\"ann\": mark point 3",
        "\"ann\": ends",
        "\"ann\": switches to \"bob\"",
        "\"bob\": ends",
        "\"bob\": switches to the scheduler",
    ];
    let seen = lines(&RECORDER.last(100));
    let seen: Vec<_> = seen.iter().filter(|line| !line.contains("wakes")).collect();
    assert_eq!(seen, expected);
    drop((ann, bob));
}

#[test]
fn the_newest_events_survive_a_wrap() {
    kernel!(16);
    RECORDER.start(&SCHEDULER);
    for number in 0..1000 {
        POINT.mark(number);
    }
    RECORDER.stop();
    let seen = lines(&RECORDER.last(100));
    let expected: Vec<_> = (984..1000)
        .map(|number| format!("?: mark point {number}"))
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(lines(&RECORDER.last(3)), expected[13..]);
}

#[test]
fn the_events_of_an_earlier_fiber_of_the_cell_are_not_those_of_the_next() {
    static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
    static RECORDER: Recorder<256> = Recorder::new();
    static CELLS: FiberPool<65536, 1> = FiberPool::new();
    RECORDER.start(&SCHEDULER);
    for number in [1, 2] {
        let fiber = SCHEDULER
            .builder()
            .name("one")
            .spawn(&CELLS, move || POINT.mark(number));
        let id = fiber.expect("the cell is free").id();
        SCHEDULER.run();
        let seen = lines(&RECORDER.last_events(id, 100));
        let marks: Vec<_> = seen.iter().filter(|line| line.contains("mark")).collect();
        assert_eq!(marks, [&format!("\"one\": mark point {number}")]);
        let turns = RECORDER.statistics(id).expect("it was started").turns;
        assert_eq!(turns, 1);
    }
    RECORDER.stop();
}

#[test]
fn statistics_are_those_of_the_events() {
    kernel!(1024, fibers);
    RECORDER.start(&SCHEDULER);
    let parked = SCHEDULER.spawn(&CELLS, || {
        for _ in 0..10 {
            scheduler::park().expect("nobody cancels it");
        }
    });
    let parked = parked.expect("a cell is free");
    let unparker = parked.unparker();
    let waker = SCHEDULER.spawn(&CELLS, move || {
        for _ in 0..10 {
            scheduler::yield_now();
            unparker.unpark();
        }
    });
    SCHEDULER.run();
    RECORDER.stop();
    let statistics = RECORDER.statistics(parked.id()).expect("it was started");
    // Spawned once and woken ten times.
    assert_eq!((statistics.turns, statistics.latency.count), (11, 11));
    assert!(statistics.latency.median <= statistics.latency.p99);
    assert!(statistics.latency.p99 <= statistics.latency.worst);
    assert!(statistics.wait > 0 && statistics.run > 0);
    drop(waker);
}

#[test]
fn an_export_as_text_contains_the_export_as_bytes() {
    kernel!(64, fibers);
    RECORDER.start(&SCHEDULER);
    SCHEDULER
        .spawn(&CELLS, scheduler::yield_now)
        .expect("a cell is free")
        .detach();
    SCHEDULER.run();
    RECORDER.stop();
    let mut text = String::new();
    RECORDER
        .export(&mut text)
        .expect("a string takes everything");
    let mut lines = text.lines().enumerate();
    let mut digits = 0;
    let ended = lines.any(|(number, line)| {
        let rest = line
            .strip_prefix(&format!("kfiber-trace {number} "))
            .expect("numbered");
        digits += if rest == "end" {
            0
        } else {
            rest.trim_end_matches('=').len()
        };
        rest == "end"
    });
    assert!(ended && lines.next().is_none());
    let mut bytes = Vec::new();
    RECORDER
        .export_bytes(|piece| {
            bytes.extend_from_slice(piece);
            Ok::<(), ()>(())
        })
        .expect("a vector takes everything");
    assert!(bytes.starts_with(b"KFTRACE1") && bytes.ends_with(b"Z"));
    assert_eq!(digits, (bytes.len() * 4).div_ceil(3));
}

#[test]
fn a_writer_that_takes_no_more_ends_the_export() {
    kernel!(16);
    RECORDER.start(&SCHEDULER);
    RECORDER.stop();
    let mut room = 20;
    let ended = RECORDER.export_bytes(|piece| {
        room = if piece.len() <= room {
            room - piece.len()
        } else {
            return Err("full");
        };
        Ok(())
    });
    assert_eq!(ended, Err("full"));
}
