//! A part of a trace as a picture: a row for each core and each fiber, and arrows from those who wake to those who are
//! woken.

use std::fmt::Write as _;

use super::statistics::short;
use super::timeline::{Slice, State, Timeline, Waker};

const WIDTH: u64 = 900;
const LEFT: u64 = 130;
const ROW: usize = 26;
const BAR: usize = 16;
const TOP: usize = 30;

/// The colours of a running, a ready and a waiting fiber, of an interrupt, and of a span.
const RUNNING: &str = "#2e7d32";
const READY: &str = "#f9c74f";
const WAITING: &str = "#c9d1d9";
const INTERRUPT: &str = "#c1121f";
const SPAN: &str = "#6a4c93";

/// Returns the picture. `part` is a part of the time, in nanoseconds.
#[must_use]
pub fn svg(timeline: &Timeline, part: Option<(u64, u64)>) -> String {
    let (from, to) = part.unwrap_or(timeline.range);
    let window = Window {
        from,
        to: to.max(from + 1),
    };
    let is_shown = |segment: &super::timeline::Segment| window.has(segment.from, segment.to);
    let shown: Vec<usize> = (0..timeline.fibers.len())
        .filter(|&index| timeline.fibers[index].segments.iter().any(is_shown))
        .collect();
    let first_fiber = timeline.cores.len();
    let row_of = |fiber: usize| {
        shown
            .iter()
            .position(|&it| it == fiber)
            .map(|row| row + first_fiber)
    };
    let height = TOP + (first_fiber + shown.len()) * ROW + 40;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" viewBox=\"0 0 {} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 6 6\" refX=\"6\" refY=\"3\" markerWidth=\"6\" markerHeight=\"6\" \
         orient=\"auto\"><path d=\"M0,0L6,3L0,6z\" fill=\"#1d3557\"/></marker></defs>\n",
        WIDTH + LEFT + 40,
        WIDTH + LEFT + 40,
    );
    scale(&mut text, &window, height);
    for (number, core) in timeline.cores.iter().enumerate() {
        name(&mut text, number, &format!("core {number}"));
        for slice in &core.running {
            bar(&mut text, &window, number, slice, RUNNING, true);
        }
        for slice in &core.interrupts {
            bar(&mut text, &window, number, slice, INTERRUPT, false);
        }
    }
    for (row, &fiber) in (first_fiber..).zip(&shown) {
        let fiber = &timeline.fibers[fiber];
        name(&mut text, row, &fiber.name);
        for segment in &fiber.segments {
            let (colour, what) = match &segment.state {
                State::Running(core) => (RUNNING, format!("running on core {core}")),
                State::Ready => (READY, "ready".to_owned()),
                State::Waiting(what) => (WAITING, what.clone()),
            };
            let slice = Slice {
                name: what,
                from: segment.from,
                to: segment.to,
            };
            bar(&mut text, &window, row, &slice, colour, colour == WAITING);
        }
        for span in &fiber.spans {
            underline(&mut text, &window, row, span);
        }
    }
    for wake in &timeline.wakes {
        let row = match wake.by {
            Waker::Fiber(fiber) => row_of(fiber),
            Waker::Interrupt(core) | Waker::Scheduler(core) => Some(core),
        };
        let (Some(row), Some(to)) = (row, row_of(wake.fiber)) else {
            continue;
        };
        if window.has(wake.at, wake.at) {
            arrow(&mut text, window.x(wake.at), row, to);
        }
    }
    text.push_str("</svg>\n");
    text
}

/// The part of the time that is shown.
struct Window {
    from: u64,
    to: u64,
}

impl Window {
    const fn has(&self, from: u64, to: u64) -> bool {
        from <= self.to && to >= self.from
    }

    /// The place of a time, in hundredths.
    fn x(&self, at: u64) -> f64 {
        let at = at.clamp(self.from, self.to) - self.from;
        let hundredths = u128::from(at) * u128::from(WIDTH) * 100 / u128::from(self.to - self.from);
        let hundredths = u32::try_from(hundredths).expect("within the picture");
        f64::from(hundredths) / 100.0 + f64::from(u32::try_from(LEFT).expect("it is small"))
    }
}

const fn y(row: usize) -> usize {
    TOP + row * ROW
}

fn name(text: &mut String, row: usize, name: &str) {
    let _ = writeln!(
        text,
        "<text x=\"8\" y=\"{}\">{}</text>",
        y(row) + 13,
        escape(name)
    );
}

fn bar(
    text: &mut String,
    window: &Window,
    row: usize,
    slice: &Slice,
    colour: &str,
    is_named: bool,
) {
    if !window.has(slice.from, slice.to) {
        return;
    }
    let (left, right) = (window.x(slice.from), window.x(slice.to));
    // What is too short to be seen is shown as a line.
    let width = (right - left).max(0.6);
    let title = escape(&slice.name);
    let length = short(slice.to.saturating_sub(slice.from));
    let _ = writeln!(
        text,
        "<rect x=\"{left:.2}\" y=\"{}\" width=\"{width:.2}\" height=\"{BAR}\" fill=\"{colour}\"><title>{title}, {length}</title></rect>",
        y(row),
    );
    // A letter takes some 6 units.
    let room = slice.name.chars().count() * 6 + 4;
    if is_named && f64::from(u32::try_from(room).unwrap_or(u32::MAX)) < width {
        let ink = if colour == WAITING {
            "#24292f"
        } else {
            "#ffffff"
        };
        let _ = writeln!(
            text,
            "<text x=\"{:.2}\" y=\"{}\" font-size=\"10\" fill=\"{ink}\">{title}</text>",
            left + 3.0,
            y(row) + 12,
        );
    }
}

fn underline(text: &mut String, window: &Window, row: usize, span: &Slice) {
    if window.has(span.from, span.to) {
        let (left, right) = (window.x(span.from), window.x(span.to));
        let _ = writeln!(
            text,
            "<rect x=\"{left:.2}\" y=\"{}\" width=\"{:.2}\" height=\"3\" fill=\"{SPAN}\"><title>{}</title></rect>",
            y(row) + BAR + 1,
            (right - left).max(0.6),
            escape(&span.name),
        );
    }
}

fn arrow(text: &mut String, x: f64, from: usize, to: usize) {
    let middle = |row: usize| y(row) + BAR / 2;
    let end = if to > from { y(to) } else { y(to) + BAR };
    let _ = writeln!(
        text,
        "<line x1=\"{x:.2}\" y1=\"{}\" x2=\"{x:.2}\" y2=\"{end}\" stroke=\"#1d3557\" stroke-width=\"1\" marker-end=\"url(#tip)\"/>",
        middle(from),
    );
}

fn scale(text: &mut String, window: &Window, height: usize) {
    let length = window.to - window.from;
    // The largest 1, 2 or 5 of a power of ten of which there are at least five.
    let step = (0..19)
        .rev()
        .flat_map(|power| [5, 2, 1].map(|digit| digit * 10_u64.pow(power)))
        .find(|step| length / step >= 5)
        .unwrap_or(1);
    let mut at = window.from.next_multiple_of(step);
    while at <= window.to {
        let x = window.x(at);
        let _ = writeln!(
            text,
            "<line x1=\"{x:.2}\" y1=\"{}\" x2=\"{x:.2}\" y2=\"{}\" stroke=\"#e1e4e8\"/><text x=\"{x:.2}\" y=\"16\" font-size=\"10\" \
             text-anchor=\"middle\" fill=\"#57606a\">{}</text>",
            TOP - 8,
            height - 34,
            microseconds(at),
        );
        at += step;
    }
    let mut x = 130;
    for (colour, name) in [
        (RUNNING, "running"),
        (READY, "ready"),
        (WAITING, "waiting"),
        (INTERRUPT, "interrupt"),
        (SPAN, "span"),
    ] {
        let _ = writeln!(
            text,
            "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{colour}\"/><text x=\"{}\" y=\"{}\">{name}</text>",
            height - 24,
            x + 17,
            height - 14,
        );
        x += 95;
    }
    let _ = writeln!(
        text,
        "<text x=\"{x}\" y=\"{}\">an arrow is a wake-up</text>",
        height - 14
    );
}

fn microseconds(nanoseconds: u64) -> String {
    let (whole, rest) = (nanoseconds / 1000, nanoseconds % 1000);
    if rest == 0 {
        format!("{whole} µs")
    } else {
        format!("{whole}.{rest:03} µs")
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
