//! The fibers of a kernel that is stopped, read from its memory. Nothing is written.
//!
//! The memory may be that of a kernel that has not begun, or that has overwritten its own. What is
//! read is therefore believed only as far as it fits together.

use std::collections::HashSet;

use super::kernel::{Kernel, Layout};

// The bits of a state word, from `src/scheduler/lock_free/state.rs` of kfiber.
const POSTED: u64 = 1;
const PARKED: u64 = 2;
const WAKE: u64 = 4;
const FINISHED: u64 = 64;
const FAILED: u64 = 256;
/// Nobody has more fibers; a list that seems longer is damaged.
const MOST_FIBERS: usize = 1 << 17;
/// The alignment of a header.
const ALIGNMENT: u64 = 64;
/// What of a wait and of a place in the source is read.
const RECORD_BYTES: usize = 64;
/// Nobody's path is longer.
const LONGEST_PATH: u64 = 4096;

/// Something whose memory can be read.
pub(super) trait Memory {
    /// The bytes at an address, or `None` if there is no memory.
    fn read(&mut self, address: u64, length: usize) -> Option<Vec<u8>>;
}

/// What a fiber does that does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    New,
    Ready,
    Waiting,
}

/// The registers that a switch keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Registers {
    pub(super) rip: u64,
    pub(super) rsp: u64,
    pub(super) rbp: u64,
    pub(super) rbx: u64,
}

/// A fiber that has not ended. Its state and registers are those of its last switch; one that runs
/// has others.
#[derive(Clone, Debug)]
pub(super) struct Fiber {
    pub(super) header: u64,
    pub(super) generation: u64,
    pub(super) name: String,
    pub(super) state: State,
    /// What the fiber waits for, and where in the source.
    pub(super) wait: Option<String>,
    pub(super) registers: Registers,
    stack_bottom: u64,
}

impl Fiber {
    /// Whether a stack pointer lies in the fiber's stack. At its very bottom lies no frame: an
    /// address there is the top of what is below.
    pub(super) const fn holds(&self, rsp: u64) -> bool {
        self.stack_bottom < rsp && rsp < self.header
    }

    /// The name, or what stands for one.
    pub(super) fn title(&self) -> String {
        if self.name.is_empty() {
            format!("fiber {:x}.{}", self.header, self.generation)
        } else {
            self.name.clone()
        }
    }

    /// The state, and what the fiber waits for.
    pub(super) fn description(&self) -> String {
        match (self.state, &self.wait) {
            (State::New, _) => "new".to_owned(),
            (State::Ready, _) => "ready".to_owned(),
            (State::Waiting, None) => "waiting".to_owned(),
            (State::Waiting, Some(wait)) => format!("waiting: {wait}"),
        }
    }
}

/// The fibers of all schedulers that have not ended, in the order in which their cells were first
/// used.
pub(super) fn all(kernel: &Kernel, memory: &mut impl Memory) -> Vec<Fiber> {
    let mut seen = HashSet::new();
    let mut fibers = Vec::new();
    for list in &kernel.lists {
        let mut memory = WithFile { kernel, memory };
        let mut of_list = Vec::new();
        let mut next = memory.word(*list).unwrap_or(0);
        while next != 0
            && next.is_multiple_of(ALIGNMENT)
            && seen.len() < MOST_FIBERS
            && seen.insert(next)
        {
            let Some(header) = Header::read(&kernel.layout, &mut memory, next) else {
                break;
            };
            let link = header.word(kernel.layout.next_of_all);
            let is_whole = header.half(kernel.layout.link_check) == fold(link);
            of_list.extend(header.fiber(&mut memory).map(|fiber| (fiber, header)));
            next = if is_whole { link } else { 0 };
        }
        of_list.reverse();
        fibers.extend(of_list);
    }
    let names: Vec<(u64, String)> = fibers
        .iter()
        .map(|(fiber, _)| (fiber.header, fiber.title()))
        .collect();
    let mut memory = WithFile { kernel, memory };
    let with_waits = fibers.into_iter().map(|(mut fiber, header)| {
        if fiber.state == State::Waiting {
            let at = header.word(kernel.layout.wait);
            fiber.wait = wait(&mut memory, at, &names);
        }
        fiber
    });
    with_waits.collect()
}

/// What a fiber waits for, from the record of its wait.
fn wait<M: Memory>(
    memory: &mut WithFile<'_, M>,
    at: u64,
    names: &[(u64, String)],
) -> Option<String> {
    let kernel = memory.kernel;
    let layout = &kernel.layout;
    let record = memory.read(at, RECORD_BYTES)?;
    let kind = word(&record, layout.wait_kind)? & !7;
    let reason = memory.read(kind.checked_add(layout.kind_reason)?, 1)?;
    let mut text = kernel.reasons.get(&u64::from(*reason.first()?))?.clone();
    let object = word(&record, layout.wait_object)?;
    let fiber = names.iter().find(|(header, _)| *header == object);
    let name = match fiber {
        Some((_, name)) => Some(&**name),
        None => kernel.name(object),
    };
    if let Some(name) = name {
        text += " ";
        text += name;
    }
    if let Some(place) = place(memory, word(&record, layout.wait_location)?) {
        text += ", at ";
        text += &place;
    }
    Some(text)
}

/// A place in the source.
fn place<M: Memory>(memory: &mut WithFile<'_, M>, at: u64) -> Option<String> {
    let layout = &memory.kernel.layout;
    let (file_at, line_at) = (layout.location_file, layout.location_line);
    let location = memory.read(at, 24)?;
    let length = word(&location, file_at + 8)?;
    if length > LONGEST_PATH {
        return None;
    }
    let file = memory.text(word(&location, file_at)?, length)?;
    let line = word(&location, line_at)? & 0xffff_ffff;
    Some(format!("{}:{line}", file.trim_end_matches('\0')))
}

/// The bytes of a control block.
struct Header<'a> {
    layout: &'a Layout,
    at: u64,
    bytes: Vec<u8>,
}

impl<'a> Header<'a> {
    fn read(layout: &'a Layout, memory: &mut impl Memory, at: u64) -> Option<Self> {
        let last = layout.next_of_all.max(layout.link_check);
        let length = usize::try_from(last.max(layout.rbx) + 8).ok()?;
        let bytes = memory.read(at, length)?;
        Some(Self { layout, at, bytes })
    }

    fn word(&self, offset: u64) -> u64 {
        word(&self.bytes, offset).expect("as much as the layout needs was read")
    }

    fn half(&self, offset: u64) -> u64 {
        self.word(offset) & 0xffff
    }

    /// The fiber that lives in the cell, if one does.
    fn fiber<M: Memory>(&self, memory: &mut WithFile<'_, M>) -> Option<Fiber> {
        let layout = self.layout;
        let (state, stack_bottom) = (self.word(layout.state), self.word(layout.stack_bottom));
        let generation = state >> 32;
        if generation == 0 || state & (FINISHED | FAILED) != 0 || stack_bottom >= self.at {
            return None;
        }
        let waits = self.word(layout.wait) != 0 && state & (POSTED | PARKED | WAKE) == PARKED;
        let name = memory.text(
            self.word(layout.name_at),
            self.word(layout.name_bytes) & 0xff,
        );
        Some(Fiber {
            header: self.at,
            generation,
            name: name.unwrap_or_default(),
            state: match self.word(layout.turns) {
                _ if waits => State::Waiting,
                0 => State::New,
                _ => State::Ready,
            },
            wait: None,
            registers: Registers {
                rip: self.word(layout.rip),
                rsp: self.word(layout.rsp),
                rbp: self.word(layout.rbp),
                rbx: self.word(layout.rbx),
            },
            stack_bottom,
        })
    }
}

/// The check value of a link, as `src/scheduler/queue/all.rs` of kfiber computes it.
const fn fold(link: u64) -> u64 {
    (link ^ 0xf1be_57ac_f1be_57ac).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48
}

/// Memory whose constant part comes from the kernel's file.
struct WithFile<'a, M> {
    kernel: &'a Kernel,
    memory: &'a mut M,
}

impl<M: Memory> WithFile<'_, M> {
    fn word(&mut self, address: u64) -> Option<u64> {
        word(&self.read(address, 8)?, 0)
    }

    fn text(&mut self, address: u64, length: u64) -> Option<String> {
        if length == 0 {
            return Some(String::new());
        }
        let bytes = self.read(address, usize::try_from(length).ok()?)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl<M: Memory> Memory for WithFile<'_, M> {
    fn read(&mut self, address: u64, length: usize) -> Option<Vec<u8>> {
        if let Some(bytes) = self.kernel.constant(address, length) {
            return Some(bytes.to_vec());
        }
        let bytes = self.memory.read(address, length)?;
        (bytes.len() == length).then_some(bytes)
    }
}

/// The eight bytes at an offset, as a number.
pub(super) fn word(bytes: &[u8], offset: u64) -> Option<u64> {
    let from = usize::try_from(offset).ok()?;
    let bytes = bytes.get(from..from.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}
