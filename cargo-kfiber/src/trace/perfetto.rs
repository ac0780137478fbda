//! A trace in Perfetto's own format: tracks for the cores and the fibers, states, spans, marks, and arrows from those who
//! wake to those who are woken.
//!
//! The messages are those parts of Perfetto's `trace.proto` that are needed, with its numbers.

#[cfg(test)]
pub(super) use check::check;

#[cfg(test)]
mod check;

use prost::Message;

use super::timeline::{Fiber, Slice, State, Timeline, Waker};

#[derive(Clone, PartialEq, Message)]
struct Trace {
    #[prost(message, repeated, tag = "1")]
    packet: Vec<Packet>,
}

#[derive(Clone, PartialEq, Message)]
struct Packet {
    #[prost(uint64, optional, tag = "8")]
    timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "10")]
    trusted_packet_sequence_id: Option<u32>,
    #[prost(message, optional, tag = "11")]
    track_event: Option<TrackEvent>,
    #[prost(uint32, optional, tag = "13")]
    sequence_flags: Option<u32>,
    #[prost(message, optional, tag = "60")]
    track_descriptor: Option<TrackDescriptor>,
}

#[derive(Clone, PartialEq, Message)]
struct TrackDescriptor {
    #[prost(uint64, optional, tag = "1")]
    uuid: Option<u64>,
    #[prost(string, optional, tag = "2")]
    name: Option<String>,
    #[prost(uint64, optional, tag = "5")]
    parent_uuid: Option<u64>,
    #[prost(int32, optional, tag = "11")]
    child_ordering: Option<i32>,
    #[prost(int32, optional, tag = "12")]
    sibling_order_rank: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct TrackEvent {
    #[prost(message, repeated, tag = "4")]
    debug_annotations: Vec<Annotation>,
    #[prost(int32, optional, tag = "9")]
    r#type: Option<i32>,
    #[prost(uint64, optional, tag = "11")]
    track_uuid: Option<u64>,
    #[prost(string, repeated, tag = "22")]
    categories: Vec<String>,
    #[prost(string, optional, tag = "23")]
    name: Option<String>,
    #[prost(fixed64, repeated, packed = "false", tag = "47")]
    flow_ids: Vec<u64>,
    #[prost(fixed64, repeated, packed = "false", tag = "48")]
    terminating_flow_ids: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct Annotation {
    #[prost(uint64, optional, tag = "3")]
    uint_value: Option<u64>,
    #[prost(string, optional, tag = "10")]
    name: Option<String>,
}

const SLICE_BEGIN: i32 = 1;
const SLICE_END: i32 = 2;
const INSTANT: i32 = 3;
/// `ChildTracksOrdering::EXPLICIT`.
const EXPLICIT: i32 = 3;
/// `SEQ_INCREMENTAL_STATE_CLEARED`.
const BEGINS: u32 = 1;

/// The tracks by their numbers, which are unique in the trace.
const CORES: u64 = 1;
const FIBERS: u64 = 2;
const FIRST_CORE: u64 = 100;
const FIRST_FIBER: u64 = 1000;

const fn core_track(core: usize) -> u64 {
    FIRST_CORE + core as u64
}

const fn fiber_track(fiber: usize) -> u64 {
    FIRST_FIBER + 2 * fiber as u64
}

/// Spans may begin in one state and end in another, so they have a track of their own.
const fn span_track(fiber: usize) -> u64 {
    fiber_track(fiber) + 1
}

/// Returns the bytes of the trace.
#[must_use]
pub fn trace(timeline: &Timeline) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.tracks(timeline);
    for (number, core) in timeline.cores.iter().enumerate() {
        let track = core_track(number);
        // An interrupt lies within the fiber that it interrupted, or outside of all of them.
        writer.slices(track, "fiber", &core.running);
        writer.slices(track, "interrupt", &core.interrupts);
        for instant in &core.instants {
            writer.instant(track, "core", &instant.name, instant.at, instant.value);
        }
    }
    for (number, fiber) in timeline.fibers.iter().enumerate() {
        writer.fiber(number, fiber, timeline);
    }
    for (id, wake) in timeline.wakes.iter().enumerate() {
        let track = match wake.by {
            Waker::Fiber(fiber) => fiber_track(fiber),
            Waker::Interrupt(core) | Waker::Scheduler(core) => core_track(core),
        };
        let name = format!("wakes {}", timeline.fibers[wake.fiber].name);
        let event = writer.instant(track, "wake", &name, wake.at, None);
        if wake.ran_at.is_some() {
            event.flow_ids.push(flow(id));
        }
    }
    writer.finish()
}

/// The id of the arrow of a wake-up.
const fn flow(wake: usize) -> u64 {
    wake as u64 + 1
}

/// Collects events. They are sorted by time at the end, because Perfetto reads a sequence in order.
#[derive(Default)]
struct Writer {
    descriptors: Vec<TrackDescriptor>,
    /// Time, rank among events of the same time, and event.
    events: Vec<(u64, u8, TrackEvent)>,
}

impl Writer {
    fn tracks(&mut self, timeline: &Timeline) {
        for (uuid, name, rank) in [(CORES, "cores", 0), (FIBERS, "fibers", 1)] {
            self.descriptors.push(TrackDescriptor {
                uuid: Some(uuid),
                name: Some(name.to_owned()),
                child_ordering: Some(EXPLICIT),
                sibling_order_rank: Some(rank),
                ..TrackDescriptor::default()
            });
        }
        for number in 0..timeline.cores.len() {
            self.track(core_track(number), CORES, format!("core {number}"), number);
        }
        for (number, fiber) in timeline.fibers.iter().enumerate() {
            self.track(fiber_track(number), FIBERS, fiber.name.clone(), 2 * number);
            if !fiber.spans.is_empty() {
                let name = format!("{}: spans", fiber.name);
                self.track(span_track(number), FIBERS, name, 2 * number + 1);
            }
        }
    }

    fn track(&mut self, uuid: u64, parent: u64, name: String, rank: usize) {
        self.descriptors.push(TrackDescriptor {
            uuid: Some(uuid),
            name: Some(name),
            parent_uuid: Some(parent),
            sibling_order_rank: i32::try_from(rank).ok(),
            ..TrackDescriptor::default()
        });
    }

    fn fiber(&mut self, number: usize, fiber: &Fiber, timeline: &Timeline) {
        let track = fiber_track(number);
        let mut arrows = timeline
            .wakes
            .iter()
            .enumerate()
            .filter(|(_, wake)| wake.fiber == number && wake.ran_at.is_some())
            .peekable();
        for segment in &fiber.segments {
            let name = match &segment.state {
                State::Running(core) => format!("running on core {core}"),
                State::Ready => "ready".to_owned(),
                State::Waiting(what) => format!("waits: {what}"),
            };
            let slice = Slice {
                name,
                from: segment.from,
                to: segment.to,
            };
            let begin = self.slice(track, "state", &slice);
            // The arrow ends where the fiber runs.
            if matches!(segment.state, State::Running(_)) {
                while let Some((id, _)) =
                    arrows.next_if(|(_, wake)| wake.ran_at <= Some(segment.from))
                {
                    begin.terminating_flow_ids.push(flow(id));
                }
            }
        }
        self.slices(span_track(number), "span", &fiber.spans);
        for instant in &fiber.instants {
            self.instant(track, "mark", &instant.name, instant.at, instant.value);
        }
    }

    fn slices(&mut self, track: u64, category: &str, slices: &[Slice]) {
        // Of two that begin at the same time, the longer one contains the other.
        let mut slices: Vec<_> = slices.iter().collect();
        slices.sort_by_key(|slice| (slice.from, std::cmp::Reverse(slice.to)));
        for slice in slices {
            self.slice(track, category, slice);
        }
    }

    /// Adds a slice, and returns its beginning.
    fn slice(&mut self, track: u64, category: &str, slice: &Slice) -> &mut TrackEvent {
        // One without a length would end before it begins.
        let to = slice.to.max(slice.from + 1);
        let end = TrackEvent {
            r#type: Some(SLICE_END),
            track_uuid: Some(track),
            ..TrackEvent::default()
        };
        self.events.push((to, 0, end));
        let begin = TrackEvent {
            r#type: Some(SLICE_BEGIN),
            track_uuid: Some(track),
            categories: vec![category.to_owned()],
            name: Some(slice.name.clone()),
            ..TrackEvent::default()
        };
        self.events.push((slice.from, 1, begin));
        &mut self.events.last_mut().expect("it was pushed").2
    }

    fn instant(
        &mut self,
        track: u64,
        category: &str,
        name: &str,
        at: u64,
        value: Option<u64>,
    ) -> &mut TrackEvent {
        let annotation = |value| Annotation {
            name: Some("value".to_owned()),
            uint_value: Some(value),
        };
        let event = TrackEvent {
            debug_annotations: value.map(annotation).into_iter().collect(),
            r#type: Some(INSTANT),
            track_uuid: Some(track),
            categories: vec![category.to_owned()],
            name: Some(name.to_owned()),
            ..TrackEvent::default()
        };
        self.events.push((at, 2, event));
        &mut self.events.last_mut().expect("it was pushed").2
    }

    fn finish(mut self) -> Vec<u8> {
        self.events.sort_by_key(|(at, rank, _)| (*at, *rank));
        let descriptors = self.descriptors.into_iter().map(|descriptor| Packet {
            track_descriptor: Some(descriptor),
            ..Packet::default()
        });
        let events = self.events.into_iter().map(|(at, _, event)| Packet {
            timestamp: Some(at),
            track_event: Some(event),
            ..Packet::default()
        });
        let mut packet: Vec<_> = descriptors.chain(events).collect();
        for packet in &mut packet {
            packet.trusted_packet_sequence_id = Some(1);
        }
        if let Some(first) = packet.first_mut() {
            first.sequence_flags = Some(BEGINS);
        }
        Trace { packet }.encode_to_vec()
    }
}
