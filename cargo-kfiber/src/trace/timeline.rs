//! What the events mean: what each fiber and each core did from when to when, and who woke whom.

mod reader;

use super::decode::Export;

/// What a fiber does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It runs on this core.
    Running(usize),
    /// It could run.
    Ready,
    /// It waits, for this reason, at this place.
    Waiting(String),
}

/// A fiber in a state. Times are in nanoseconds.
#[derive(Debug, Clone)]
pub struct Segment {
    /// What it does.
    pub state: State,
    /// Since when.
    pub from: u64,
    /// Until when.
    pub to: u64,
}

/// Something with a name and a length.
#[derive(Debug, Clone)]
pub struct Slice {
    /// What it is.
    pub name: String,
    /// Its beginning.
    pub from: u64,
    /// Its end.
    pub to: u64,
}

/// A moment.
#[derive(Debug, Clone)]
pub struct Instant {
    /// What it is.
    pub name: String,
    /// When.
    pub at: u64,
    /// The number that the kernel gave.
    pub value: Option<u64>,
}

/// A fiber.
#[derive(Debug, Clone)]
pub struct Fiber {
    /// Its name, or its address and generation.
    pub name: String,
    /// What it did, in order.
    pub segments: Vec<Segment>,
    /// The spans in it, in the order of their ends.
    pub spans: Vec<Slice>,
    /// The marks in it, and its end.
    pub instants: Vec<Instant>,
    /// How often it began to run.
    pub turns: u64,
}

/// A core.
#[derive(Debug, Clone, Default)]
pub struct Core {
    /// The fibers that ran, in order. Gaps are the scheduler's own.
    pub running: Vec<Slice>,
    /// Its interrupts, in the order of their ends.
    pub interrupts: Vec<Slice>,
    /// The marks and spans in interrupts and outside of fibers.
    pub instants: Vec<Instant>,
    /// How many events are lost, because newer ones took their place.
    pub lost: u64,
}

/// Who wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waker {
    /// A fiber.
    Fiber(usize),
    /// An interrupt handler on a core.
    Interrupt(usize),
    /// The scheduler itself, on a core.
    Scheduler(usize),
}

/// A wake-up, from a waker to a fiber.
#[derive(Debug, Clone, Copy)]
pub struct Wake {
    /// When.
    pub at: u64,
    /// Who wakes.
    pub by: Waker,
    /// Which fiber is woken.
    pub fiber: usize,
    /// When it ran, if that was seen.
    pub ran_at: Option<u64>,
}

/// Everything.
#[derive(Debug, Default)]
pub struct Timeline {
    /// The fibers, in the order in which they were first seen.
    pub fibers: Vec<Fiber>,
    /// The cores by their numbers.
    pub cores: Vec<Core>,
    /// All wake-ups in order.
    pub wakes: Vec<Wake>,
    /// The times of the first and the last event.
    pub range: (u64, u64),
}

impl Timeline {
    /// Makes it of an export.
    #[must_use]
    pub fn new(export: &Export) -> Self {
        reader::read(export)
    }
}
