//! Each event as a line of text.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::decode::{Event, Export, Kind};
use super::timeline::Timeline;

/// Returns a line for each event: time, core, who ran, and what happened.
#[must_use]
pub fn lines(export: &Export, timeline: &Timeline) -> String {
    let mut names = Names::new(export, timeline);
    let mut running = vec![None; export.cores.len()];
    let mut interrupts = vec![0_u32; export.cores.len()];
    let mut text = String::new();
    for event in &export.events {
        names.advance(event);
        if event.kind == Kind::Name {
            continue;
        }
        let at = export.nanoseconds(event.ticks);
        let core = event.core;
        let who = running[core].map_or_else(|| "?".to_owned(), |fiber| names.of(fiber));
        let before = if interrupts[core] > 0 {
            "interrupt of "
        } else {
            ""
        };
        let what = names.what(event);
        let (seconds, rest) = (at / 1_000_000_000, at % 1_000_000_000);
        let _ = writeln!(
            text,
            "{seconds:>5}.{rest:09} core {core} {before}{who}: {what}"
        );
        match event.kind {
            Kind::Switch => {
                running[core] = Some(event.subject);
                interrupts[core] = 0;
            }
            Kind::InterruptIn => interrupts[core] += 1,
            Kind::InterruptOut => interrupts[core] = interrupts[core].saturating_sub(1),
            _ => {}
        }
    }
    text
}

/// The names of the fibers in their cells, as events change them.
struct Names<'a> {
    export: &'a Export,
    /// The names of the fibers in the order in which they were first seen.
    seen: std::slice::Iter<'a, super::timeline::Fiber>,
    living: HashMap<u64, String>,
}

impl<'a> Names<'a> {
    fn new(export: &'a Export, timeline: &'a Timeline) -> Self {
        Self {
            export,
            seen: timeline.fibers.iter(),
            living: HashMap::new(),
        }
    }

    fn is_root(&self, address: u64) -> bool {
        address == 0 || self.export.cores.iter().any(|core| core.root == address)
    }

    /// Fibers are first seen in the same order as the timeline saw them.
    fn advance(&mut self, event: &Event) {
        let address = event.subject;
        let is_new = match event.kind {
            Kind::Spawn => true,
            Kind::Switch | Kind::Ready | Kind::Posted | Kind::Name | Kind::End | Kind::Failure => {
                !self.living.contains_key(&address)
            }
            _ => false,
        };
        if is_new && !self.is_root(address) {
            let name = self
                .seen
                .next()
                .map_or(String::new(), |fiber| fiber.name.clone());
            self.living.insert(address, name);
        }
    }

    fn of(&self, address: u64) -> String {
        if self.is_root(address) {
            return "the scheduler".to_owned();
        }
        let name = self.living.get(&address);
        name.map_or_else(
            || format!("fiber {address:x}"),
            |name| format!("\"{name}\""),
        )
    }

    fn what(&self, event: &Event) -> String {
        let subject = event.subject;
        let label = || {
            self.export
                .labels
                .get(&event.detail)
                .map_or("", String::as_str)
        };
        match event.kind {
            Kind::Switch => format!("switches to {}", self.of(subject)),
            Kind::Ready | Kind::Posted => format!("wakes {}", self.of(subject)),
            Kind::Wait => {
                let reason = self
                    .export
                    .reasons
                    .get(&event.extra)
                    .map_or("", String::as_str);
                let object = if subject == 0 {
                    String::new()
                } else {
                    format!(" {subject:#x}")
                };
                let place = self.export.places.get(&event.detail);
                let place =
                    place.map_or(String::new(), |(file, line)| format!(" at {file}:{line}"));
                format!("waits: {reason}{object}{place}")
            }
            Kind::Sleep => format!("sleeps until {subject} ns"),
            Kind::Move => format!("sends {} to core {}", self.of(subject), event.extra),
            Kind::InterruptIn => format!("interrupt {subject} begins"),
            Kind::InterruptOut => "interrupt ends".to_owned(),
            Kind::Spawn => format!("spawns {}", self.of(subject)),
            Kind::Name => String::new(),
            Kind::End => "ends".to_owned(),
            Kind::Failure => "fails".to_owned(),
            Kind::Mark => format!("mark {} {subject}", label()),
            Kind::SpanBegin => format!("begins {}", label()),
            Kind::SpanEnd => format!("has done {}", label()),
            Kind::Timer => "timer".to_owned(),
        }
    }
}
