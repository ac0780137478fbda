//! Reads the events in order, and follows what each fiber and each core does.

use std::collections::HashMap;

use super::super::decode::{Event, Export, Kind};
use super::{Core, Fiber, Instant, Segment, Slice, State, Timeline, Wake, Waker};

/// What is known of a fiber at a moment.
#[derive(Debug, Default, Clone)]
struct Now {
    state: Option<(State, u64)>,
    /// It is about to wait.
    waits: Option<String>,
    /// It was woken while it was about to wait.
    was_woken: bool,
    spans: Vec<(String, u64)>,
    /// The last wake-up, after which it has not run.
    wake: Option<usize>,
}

/// What is known of a core at a moment.
#[derive(Debug, Default, Clone)]
struct CoreNow {
    running: Option<(usize, u64)>,
    interrupts: Vec<(u64, u64)>,
}

/// Reads the events in order.
struct Reader<'a> {
    export: &'a Export,
    timeline: Timeline,
    /// The fiber that a cell has.
    living: HashMap<u64, usize>,
    now: Vec<Now>,
    cores: Vec<CoreNow>,
}

/// Reads an export.
pub(super) fn read(export: &Export) -> Timeline {
    let mut reader = Reader {
        export,
        timeline: Timeline::default(),
        living: HashMap::new(),
        now: Vec::new(),
        cores: vec![CoreNow::default(); export.cores.len()],
    };
    for (number, core) in export.cores.iter().enumerate() {
        let kept = export
            .events
            .iter()
            .filter(|event| event.core == number)
            .count();
        reader.timeline.cores.push(Core {
            lost: core.recorded.saturating_sub(kept as u64),
            ..Core::default()
        });
    }
    let time = |event: Option<&Event>| event.map_or(0, |event| export.nanoseconds(event.ticks));
    reader.timeline.range = (time(export.events.first()), time(export.events.last()));
    for event in &export.events {
        reader.read(event);
    }
    reader.end();
    reader.timeline
}

impl Reader<'_> {
    /// The fiber that lives at an address, or none for a core's own context.
    fn fiber(&mut self, address: u64) -> Option<usize> {
        if address == 0 || self.export.cores.iter().any(|core| core.root == address) {
            return None;
        }
        if let Some(&index) = self.living.get(&address) {
            return Some(index);
        }
        // It was there before the first event. If its cell has had none since, the list has its name.
        let spawned_again = self
            .export
            .events
            .iter()
            .any(|event| event.kind == Kind::Spawn && event.subject == address);
        let name = self.export.fibers.get(&address).filter(|_| !spawned_again);
        let name = name.map_or("", |fiber| &fiber.name);
        Some(self.add(address, name.to_owned()))
    }

    fn add(&mut self, address: u64, name: String) -> usize {
        let index = self.timeline.fibers.len();
        self.timeline.fibers.push(Fiber {
            name: if name.is_empty() {
                format!("fiber {address:x}")
            } else {
                name
            },
            segments: Vec::new(),
            spans: Vec::new(),
            instants: Vec::new(),
            turns: 0,
        });
        self.now.push(Now::default());
        self.living.insert(address, index);
        index
    }

    /// Ends the state of a fiber, and begins another.
    fn set(&mut self, fiber: usize, at: u64, state: Option<State>) {
        let before = std::mem::replace(&mut self.now[fiber].state, state.map(|state| (state, at)));
        if let Some((state, from)) = before {
            self.timeline.fibers[fiber].segments.push(Segment {
                state,
                from,
                to: at,
            });
        }
    }

    fn read(&mut self, event: &Event) {
        let at = self.export.nanoseconds(event.ticks);
        let core = event.core;
        let running = self.cores[core].running.map(|(fiber, _)| fiber);
        match event.kind {
            Kind::Switch => self.switch(core, event.subject, at),
            Kind::Ready | Kind::Posted => {
                if let Some(fiber) = self.fiber(event.subject) {
                    self.wake(fiber, core, at);
                }
            }
            Kind::Wait => {
                if let Some(fiber) = running {
                    self.now[fiber].waits = Some(self.what_for(event));
                }
            }
            Kind::Spawn => {
                let name = self.export.fibers.get(&event.subject);
                let name = name.filter(|fiber| fiber.generation == event.detail);
                let name = name.map_or(String::new(), |fiber| fiber.name.clone());
                let fiber = self.add(event.subject, name);
                self.wake(fiber, core, at);
            }
            Kind::Name => {
                let bytes = event.detail.to_le_bytes();
                let part = String::from_utf8_lossy(&bytes);
                let part = part.trim_end_matches('\0');
                if let Some(fiber) = self.fiber(event.subject) {
                    let name = &mut self.timeline.fibers[fiber].name;
                    // A longer one is in the list of fibers.
                    if event.extra == 0 && !name.starts_with(part) {
                        name.clear();
                    }
                    if name.len() == usize::from(event.extra) * 7 {
                        name.push_str(part);
                    }
                }
            }
            Kind::End | Kind::Failure => {
                if let Some(fiber) = self.fiber(event.subject) {
                    let name = if event.kind == Kind::End {
                        "ends"
                    } else {
                        "fails"
                    };
                    self.timeline.fibers[fiber]
                        .instants
                        .push(instant(name, at, None));
                }
            }
            Kind::Mark | Kind::SpanBegin | Kind::SpanEnd => self.labelled(event, at),
            Kind::InterruptIn => self.cores[core].interrupts.push((event.subject, at)),
            Kind::InterruptOut => self.end_interrupt(core, at),
            Kind::Timer => {
                self.timeline.cores[core]
                    .instants
                    .push(instant("timer", at, None));
            }
            Kind::Sleep | Kind::Move => {}
        }
    }

    fn switch(&mut self, core: usize, next: u64, at: u64) {
        // A handler that ends a fiber does not come back.
        while !self.cores[core].interrupts.is_empty() {
            self.end_interrupt(core, at);
        }
        if let Some((prev, from)) = self.cores[core].running.take() {
            let fiber = &self.timeline.fibers[prev];
            let name = fiber.name.clone();
            let has_ended = fiber
                .instants
                .last()
                .is_some_and(|it| it.name == "ends" || it.name == "fails");
            self.timeline.cores[core]
                .running
                .push(Slice { name, from, to: at });
            let now = &mut self.now[prev];
            let waits = now.waits.take();
            let was_woken = std::mem::take(&mut now.was_woken);
            let state = match waits {
                _ if has_ended => None,
                Some(what) if !was_woken => Some(State::Waiting(what)),
                _ => Some(State::Ready),
            };
            self.set(prev, at, state);
        }
        if let Some(next) = self.fiber(next) {
            self.timeline.fibers[next].turns += 1;
            self.cores[core].running = Some((next, at));
            self.now[next].waits = None;
            if let Some(wake) = self.now[next].wake.take() {
                self.timeline.wakes[wake].ran_at = Some(at);
            }
            self.set(next, at, Some(State::Running(core)));
        }
    }

    fn wake(&mut self, fiber: usize, core: usize, at: u64) {
        let by = match (&self.cores[core].interrupts[..], self.cores[core].running) {
            ([], Some((waker, _))) => Waker::Fiber(waker),
            ([], None) => Waker::Scheduler(core),
            _ => Waker::Interrupt(core),
        };
        let now = &mut self.now[fiber];
        match now.state {
            Some((State::Running(_), _)) if now.waits.is_some() => now.was_woken = true,
            // It noticed the wake-up before it waited.
            Some((State::Running(_) | State::Ready, _)) => return,
            _ => self.set(fiber, at, Some(State::Ready)),
        }
        self.now[fiber].wake = Some(self.timeline.wakes.len());
        self.timeline.wakes.push(Wake {
            at,
            by,
            fiber,
            ran_at: None,
        });
    }

    fn what_for(&self, event: &Event) -> String {
        let mut text = self
            .export
            .reasons
            .get(&event.extra)
            .cloned()
            .unwrap_or_default();
        if let Some((file, line)) = self.export.places.get(&event.detail) {
            let file = file.rsplit('/').next().unwrap_or(file);
            text += &format!(" at {file}:{line}");
        }
        text
    }

    fn labelled(&mut self, event: &Event, at: u64) {
        let label = self
            .export
            .labels
            .get(&event.detail)
            .cloned()
            .unwrap_or_default();
        let core = &self.cores[event.core];
        let fiber = core.running.filter(|_| core.interrupts.is_empty());
        let Some((fiber, _)) = fiber else {
            let value = (event.kind == Kind::Mark).then_some(event.subject);
            self.timeline.cores[event.core]
                .instants
                .push(instant(&label, at, value));
            return;
        };
        match event.kind {
            Kind::Mark => {
                let mark = instant(&label, at, Some(event.subject));
                self.timeline.fibers[fiber].instants.push(mark);
            }
            Kind::SpanBegin => self.now[fiber].spans.push((label, at)),
            _ => {
                // One that began before the first event has no beginning.
                if let Some((name, from)) = self.now[fiber].spans.pop() {
                    self.timeline.fibers[fiber]
                        .spans
                        .push(Slice { name, from, to: at });
                }
            }
        }
    }

    fn end_interrupt(&mut self, core: usize, at: u64) {
        if let Some((vector, from)) = self.cores[core].interrupts.pop() {
            let name = format!("interrupt {vector}");
            self.timeline.cores[core]
                .interrupts
                .push(Slice { name, from, to: at });
        }
    }

    /// Ends everything that goes on.
    fn end(&mut self) {
        let at = self.timeline.range.1;
        for core in 0..self.cores.len() {
            while !self.cores[core].interrupts.is_empty() {
                self.end_interrupt(core, at);
            }
            if let Some((fiber, from)) = self.cores[core].running.take() {
                let name = self.timeline.fibers[fiber].name.clone();
                self.timeline.cores[core]
                    .running
                    .push(Slice { name, from, to: at });
            }
        }
        for fiber in 0..self.now.len() {
            self.set(fiber, at, None);
            while let Some((name, from)) = self.now[fiber].spans.pop() {
                self.timeline.fibers[fiber]
                    .spans
                    .push(Slice { name, from, to: at });
            }
        }
    }
}

fn instant(name: &str, at: u64, value: Option<u64>) -> Instant {
    Instant {
        name: name.to_owned(),
        at,
        value,
    }
}
