//! One debugger and one machine: what passes through, and what is answered here.
//!
//! QEMU knows the processors as threads. To them the session adds the fibers that do not run:
//! [`answers`]. The machine can only go on as a whole: [`go_on`].

mod answers;
mod go_on;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::mpsc::Receiver;

use super::fibers::Fiber;
use super::kernel::Kernel;
use super::link::{self, Event, From, Link, Stream};
use super::look::{self, Look, Target, choose};
use super::packet::{self, Item};
use super::resume::Resume;
use super::thread_id::ThreadId;
use super::threads;
use go_on::Awaited;

/// The number of the first fiber that is shown. Processors have numbers from 1 on.
const FIRST_FIBER: u64 = 10_001;

/// A session; see the [module](self).
pub(super) struct Session<'a> {
    kernel: Option<&'a Kernel>,
    debugger: Link,
    qemu: Link,
    events: Receiver<Event>,
    /// What the debugger sent while QEMU was asked.
    waiting: VecDeque<Option<Item>>,
    /// What was found at this stop.
    look: Option<Look>,
    is_running: bool,
    /// The processor that stopped the machine.
    stopped: Option<u64>,
    /// The number of each fiber that was ever shown, by its header and generation.
    numbers: HashMap<(u64, u64), u64>,
    /// The last packet by which the debugger chose a processor.
    chosen: Option<Vec<u8>>,
    /// The fiber whose registers the debugger asks for.
    fiber: Option<u64>,
    /// The fiber that old packets continue or step.
    continued: Option<u64>,
    /// The fiber that is to be stepped, and has to be switched to first.
    awaited: Option<Awaited>,
    /// Whether the debugger wants the name of the thread with each stop.
    wants_names: bool,
    /// The rest of the list of threads, and the description of all threads.
    listing: VecDeque<String>,
    description: Vec<u8>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        kernel: Option<&'a Kernel>,
        debugger: Stream,
        qemu: Stream,
    ) -> io::Result<Self> {
        let (sender, events) = link::queue();
        Ok(Self {
            kernel,
            debugger: Link::open(debugger, From::Debugger, sender.clone())?,
            qemu: Link::open(qemu, From::Qemu, sender)?,
            events,
            waiting: VecDeque::new(),
            look: None,
            is_running: false,
            stopped: None,
            numbers: HashMap::new(),
            chosen: None,
            fiber: None,
            continued: None,
            awaited: None,
            wants_names: false,
            listing: VecDeque::new(),
            description: Vec::new(),
        })
    }

    /// Serves until one of the two goes. An error says that QEMU went, or that a connection broke.
    pub(super) fn run(&mut self) -> io::Result<()> {
        loop {
            let event = match self.waiting.pop_front() {
                Some(item) => (From::Debugger, item),
                None => self.events.recv().map_err(io::Error::other)?,
            };
            match event {
                (From::Debugger, None) => return Ok(()),
                (From::Debugger, Some(item)) => self.take_from_debugger(item)?,
                (From::Qemu, None) => return Err(gone()),
                (From::Qemu, Some(item)) => {
                    if let Some(payload) = self.take_from_qemu(item)? {
                        self.unasked(payload)?;
                    }
                }
            }
        }
    }

    /// A packet of QEMU, if it is one.
    fn take_from_qemu(&mut self, item: Item) -> io::Result<Option<Vec<u8>>> {
        match item {
            Item::Packet(payload) => {
                self.qemu.acknowledge(true)?;
                return Ok(Some(payload));
            }
            Item::Broken => self.qemu.acknowledge(false)?,
            Item::Again => self.qemu.send_again()?,
            Item::Interrupt => {}
        }
        Ok(None)
    }

    /// A packet for which nobody asked just now: the machine has stopped, or ended, or says something.
    fn unasked(&mut self, payload: Vec<u8>) -> io::Result<()> {
        let is_stop = matches!(payload.first(), Some(b'T' | b'S' | b'W' | b'X' | b'N'));
        if !self.is_running || !is_stop {
            return self.debugger.send(&payload);
        }
        let Some(payload) = self.await_fiber(payload)? else {
            return Ok(());
        };
        self.note_stop(&payload);
        self.report_stop(payload)
    }

    fn note_stop(&mut self, payload: &[u8]) {
        self.is_running = false;
        self.look = None;
        // QEMU now answers for the processor that stopped, and the debugger knows.
        self.chosen = None;
        self.fiber = None;
        self.stopped = threads::stopped(payload);
    }

    fn report_stop(&mut self, mut payload: Vec<u8>) -> io::Result<()> {
        if self.wants_names
            && self.kernel.is_some()
            && let Some(number) = self.stopped
            && let Some(thread) = self.thread(number)?
        {
            payload.extend(threads::name_of(&thread).bytes());
        }
        self.debugger.send(&payload)
    }

    fn take_from_debugger(&mut self, item: Item) -> io::Result<()> {
        match item {
            Item::Packet(payload) => {
                self.debugger.acknowledge(true)?;
                self.packet(&payload)
            }
            Item::Broken => self.debugger.acknowledge(false),
            Item::Again => self.debugger.send_again(),
            Item::Interrupt => self.qemu.send_byte(packet::INTERRUPT),
        }
    }

    /// Answers a packet of the debugger, or passes it on.
    fn packet(&mut self, packet: &[u8]) -> io::Result<()> {
        if packet == b"QStartNoAckMode" {
            self.debugger.send(b"OK")?;
            self.debugger.has_acks = false;
            return Ok(());
        }
        if self.is_running || packet == b"k" {
            // A machine that runs answers when it has stopped, and one that is ended not at all.
            return self.qemu.send(packet);
        }
        if let Some(resume) = Resume::parse(packet, self.continued, FIRST_FIBER) {
            return self.go_on(resume, packet);
        }
        match packet.first() {
            // Perhaps it is a fiber's state that changes.
            Some(b'M' | b'X' | b'P' | b'G') if self.fiber.is_none() => self.look = None,
            _ if packet.starts_with(b"qSupported") => return self.supported(packet),
            // Only LLDB asks for this.
            _ if packet == b"QThreadSuffixSupported" => self.wants_names = true,
            _ => {}
        }
        if packet.starts_with(b"vKill") {
            return self.kill(packet);
        }
        match self.own_answer(packet)? {
            Some(answer) => self.debugger.send(&answer),
            None => self.pass(packet),
        }
    }

    /// Ends the machine. QEMU may be gone before its answer has been sent.
    fn kill(&mut self, packet: &[u8]) -> io::Result<()> {
        let answer = self.ask(packet);
        let text = answer.as_ref().map_or(&b"OK"[..], |answer| answer);
        self.debugger.send(text)?;
        answer.map(drop)
    }

    fn supported(&mut self, packet: &[u8]) -> io::Result<()> {
        let mut answer = self.ask(packet)?;
        answer.extend(b";QStartNoAckMode+");
        if self.kernel.is_some() {
            answer.extend(b";qXfer:threads:read+");
        }
        self.debugger.send(&answer)
    }

    /// Passes a packet on, and the answer back.
    fn pass(&mut self, packet: &[u8]) -> io::Result<()> {
        let mut answer = self.ask(packet)?;
        // What a command of the monitor prints comes in several packets.
        while packet.starts_with(b"qRcmd,") && answer.starts_with(b"O") && answer != b"OK" {
            self.debugger.send(&answer)?;
            answer = self.answer()?;
        }
        if packet == b"?" {
            self.note_stop(&answer);
            return self.report_stop(answer);
        }
        self.debugger.send(&answer)
    }

    /// What there is at this stop, if the kernel is known.
    fn look(&mut self) -> io::Result<Option<&Look>> {
        if let Some(kernel) = self.kernel
            && self.look.is_none()
        {
            let stopped = self.stopped;
            let look = look::look(kernel, self, stopped)?;
            self.choose_as_before(&look)?;
            for fiber in &look.fibers {
                self.number(fiber);
            }
            self.look = Some(look);
        }
        Ok(self.look.as_ref())
    }

    /// Has QEMU answer again for the processor that the debugger chose.
    fn choose_as_before(&mut self, look: &Look) -> io::Result<()> {
        let first = look.processors.first().map(|processor| processor.id);
        match (self.fiber, self.chosen.clone(), self.stopped, first) {
            (Some(_), _, _, _) => look.reader.map_or(Ok(()), |reader| choose(self, reader)),
            (None, Some(chosen), _, _) => self.ask(&chosen).map(drop),
            (None, None, Some(stopped), Some(first)) => choose(self, first.beside(stopped)),
            (None, None, _, _) => Ok(()),
        }
    }

    /// The name of a fiber for the debugger.
    fn id(&mut self, number: u64) -> io::Result<Option<ThreadId>> {
        let first = self.look()?.and_then(|look| look.processors.first());
        Ok(first.map(|first| first.id.beside(number)))
    }

    /// The fiber of this number, if it does not run now and has not ended.
    fn fiber(&mut self, number: u64) -> io::Result<Option<Fiber>> {
        self.look()?;
        let fibers = self.look.iter().flat_map(|look| &look.fibers);
        let mut found = fibers.filter(|fiber| {
            let known = self.numbers.get(&(fiber.header, fiber.generation));
            known == Some(&number)
        });
        Ok(found.next().cloned())
    }

    /// The number of a fiber, which it keeps.
    fn number(&mut self, fiber: &Fiber) -> u64 {
        let next = FIRST_FIBER + self.numbers.len() as u64;
        let numbers = self.numbers.entry((fiber.header, fiber.generation));
        *numbers.or_insert(next)
    }

    /// The next packet of QEMU.
    fn answer(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.events.recv().map_err(io::Error::other)? {
                (From::Debugger, item) => self.waiting.push_back(item),
                (From::Qemu, None) => return Err(gone()),
                (From::Qemu, Some(item)) => {
                    if let Some(payload) = self.take_from_qemu(item)? {
                        return Ok(payload);
                    }
                }
            }
        }
    }
}

impl Target for Session<'_> {
    fn ask(&mut self, packet: &[u8]) -> io::Result<Vec<u8>> {
        self.qemu.send(packet)?;
        self.answer()
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "QEMU has ended")
}
