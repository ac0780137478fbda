//! An export made by hand, and what comes of it.

use super::decode::{self, Kind};
use super::timeline::{State, Timeline, Waker};
use super::{perfetto, picture, statistics, text};

const ROOT: u64 = 0x1000;
const ANN: u64 = 0x2000;
const BOB: u64 = 0x3000;
const PLACE: u64 = 0x4000;
const LABEL: u64 = 0x5000;

/// Bob waits, an interrupt comes, Ann wakes Bob, Bob runs. A tick is two nanoseconds.
fn bytes() -> Vec<u8> {
    let mut bytes = b"KFTRACE1C\0\0\0\0".to_vec();
    for word in [ROOT, 1000, 500, 2000, 2500, 20] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(b"R\x06\x05Mutex");
    for (address, name) in [(ANN, "ann"), (BOB, "bob")] {
        bytes.push(b'F');
        bytes.extend(address.to_le_bytes());
        bytes.extend([1, 0, 0, 0, 0, 0, 0, 0, 3]);
        bytes.extend(name.bytes());
    }
    bytes.push(b'P');
    bytes.extend(PLACE.to_le_bytes());
    bytes.extend(b"\x07\0\0\0\x01\0\0\0\x08src/a.rs");
    bytes.push(b'L');
    bytes.extend(LABEL.to_le_bytes());
    bytes.extend(b"\x04step");
    let events = [
        (Kind::Switch, 0, 1010, BOB, 0),
        (Kind::Wait, 6, 1020, 0x77, PLACE),
        (Kind::Switch, 0, 1020, ANN, 0),
        (Kind::SpanBegin, 0, 1025, 0, LABEL),
        (Kind::InterruptIn, 0, 1030, 32, 0),
        (Kind::InterruptOut, 0, 1040, 0, 0),
        (Kind::Ready, 0, 1050, BOB, 0),
        (Kind::SpanEnd, 0, 1055, 0, LABEL),
        (Kind::Mark, 0, 1056, 9, LABEL),
        (Kind::Switch, 0, 1060, BOB, 0),
        (Kind::End, 0, 1070, BOB, 0),
        (Kind::Switch, 0, 1070, ROOT, 0),
    ];
    for (kind, extra, ticks, subject, detail) in events {
        bytes.extend([b'E', 0, kind as u8 + 1, extra, 0]);
        for word in [ticks, subject, detail] {
            bytes.extend(u64::to_le_bytes(word));
        }
    }
    bytes.push(b'Z');
    bytes
}

fn timeline() -> Timeline {
    Timeline::new(&decode::parse(&bytes()).expect("it is one"))
}

/// The same as lines of a log, among others.
fn log() -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut log = String::from("booting\n");
    let bytes = bytes();
    let lines = bytes.chunks(54);
    let end = lines.len();
    for (number, line) in lines.enumerate() {
        let mut digits = String::new();
        for three in line.chunks(3) {
            let byte = |index| u32::from(three.get(index).copied().unwrap_or(0));
            let word = byte(0) << 16 | byte(1) << 8 | byte(2);
            for index in 0..4 {
                let digit = DIGITS[(word >> (18 - 6 * index) & 63) as usize];
                digits.push(if index <= three.len() {
                    char::from(digit)
                } else {
                    '='
                });
            }
        }
        log += &format!("kfiber-trace {number} {digits}\nsomething else\n");
    }
    log + &format!("kfiber-trace {end} end\n")
}

#[test]
fn the_lines_of_a_log_are_the_bytes() {
    let [from_log, from_bytes] = [log().into_bytes(), bytes()].map(|file| {
        let export = decode::find(&file).expect("it is one");
        format!("{export:?}")
    });
    assert_eq!(from_log, from_bytes);
}

#[test]
fn a_log_with_a_missing_line_is_refused() {
    let log = log();
    let second = log.find("kfiber-trace 1 ").expect("there are several");
    let third = log.find("kfiber-trace 2 ").expect("there are several");
    let error = decode::find(format!("{}{}", &log[..second], &log[third..]).as_bytes());
    assert!(
        error
            .expect_err("a line is missing")
            .to_string()
            .contains("before line 2")
    );
    let error = decode::find(&log.as_bytes()[..third]);
    assert!(
        error
            .expect_err("the rest is missing")
            .to_string()
            .contains("the end")
    );
    assert!(decode::find(b"booting").is_err());
}

#[test]
fn bytes_that_end_too_early_are_refused() {
    let bytes = bytes();
    for length in 0..bytes.len() {
        assert!(decode::parse(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn fibers_have_states_without_gaps() {
    let timeline = timeline();
    let bob = timeline
        .fibers
        .iter()
        .find(|fiber| fiber.name == "bob")
        .expect("it ran");
    let states: Vec<_> = bob
        .segments
        .iter()
        .map(|it| (it.state.clone(), it.from, it.to))
        .collect();
    let expected = [
        (State::Running(0), 520, 540),
        (State::Waiting("Mutex at a.rs:7".to_owned()), 540, 600),
        (State::Ready, 600, 620),
        (State::Running(0), 620, 640),
    ];
    assert_eq!(states, expected);
    let ann = timeline
        .fibers
        .iter()
        .position(|fiber| fiber.name == "ann")
        .expect("it ran");
    let [wake] = &timeline.wakes[..] else {
        panic!("one: {:?}", timeline.wakes);
    };
    assert_eq!(
        (wake.at, wake.by, wake.ran_at),
        (600, Waker::Fiber(ann), Some(620))
    );
    let span = &timeline.fibers[ann].spans[0];
    assert_eq!((&*span.name, span.from, span.to), ("step", 550, 610));
    let interrupt = &timeline.cores[0].interrupts[0];
    assert_eq!(
        (&*interrupt.name, interrupt.from, interrupt.to),
        ("interrupt 32", 560, 580)
    );
    assert_eq!(timeline.cores[0].lost, 8);
}

#[test]
fn the_numbers_are_those_of_the_states() {
    let all = statistics::all(&timeline());
    let bob = all
        .iter()
        .find(|fiber| fiber.name == "bob")
        .expect("it ran");
    assert_eq!((bob.turns, bob.run, bob.ready, bob.wait), (2, 40, 20, 60));
    assert_eq!(
        (bob.latencies.clone(), bob.quantile(50), bob.quantile(100)),
        (vec![20], Some(20), Some(20))
    );
}

#[test]
fn the_lines_name_those_who_act() {
    let export = decode::parse(&bytes()).expect("it is one");
    let lines = text::lines(&export, &Timeline::new(&export));
    for wanted in [
        "\"bob\": waits: Mutex 0x77 at src/a.rs:7",
        "\"ann\": wakes \"bob\"",
        "\"ann\": interrupt 32 begins",
        "\"ann\": mark step 9",
        "\"bob\": switches to the scheduler",
    ] {
        assert!(lines.contains(wanted), "{wanted} in\n{lines}");
    }
}

#[test]
fn a_trace_for_perfetto_has_an_end_for_each_beginning_and_two_ends_of_each_arrow() {
    let checked = perfetto::check(&perfetto::trace(&timeline())).expect("it is one");
    // Two cores' slices and an interrupt, four states of one fiber, three of the other, and a span.
    assert_eq!((checked.slices, checked.arrows), (3 + 1 + 4 + 2 + 1, 1));
    assert_eq!(checked.tracks, 2 + 1 + 2 + 1);
}

#[test]
fn the_picture_shows_all_rows() {
    let picture = picture::svg(&timeline(), None);
    for wanted in [
        ">core 0<",
        ">ann<",
        ">bob<",
        "Mutex at a.rs:7",
        "marker-end",
    ] {
        assert!(picture.contains(wanted), "{wanted}");
    }
}
