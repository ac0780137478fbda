//! One debugger and one machine: what passes through, and what is answered here.
//!
//! QEMU knows the processors as threads. To them the session adds the fibers that do not run. The
//! machine can only go on as a whole, and only a processor can be stepped.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::mpsc::Receiver;

use super::fibers::Fiber;
use super::kernel::Kernel;
use super::link::{self, Event, From, Link, Stream};
use super::look::{self, Look, Target, choose};
use super::packet::{self, Item};
use super::registers;
use super::resume::{self, Resume};
use super::thread_id::ThreadId;
use super::threads::{self, Thread};

/// The number of the first fiber that is shown. Processors have numbers from 1 on.
const FIRST_FIBER: u64 = 10_001;
/// What is answered to a thread that is not there, or no longer.
const NO_THREAD: &[u8] = b"E16";

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
    /// The thread that old packets continue or step.
    continued: Option<u64>,
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
                (From::Debugger, Some(item)) => self.from_debugger(item)?,
                (From::Qemu, None) => return Err(gone()),
                (From::Qemu, Some(item)) => {
                    if let Some(payload) = self.from_qemu(item)? {
                        self.unasked(&payload)?;
                    }
                }
            }
        }
    }

    /// A packet of QEMU, if it is one.
    fn from_qemu(&mut self, item: Item) -> io::Result<Option<Vec<u8>>> {
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
    fn unasked(&mut self, payload: &[u8]) -> io::Result<()> {
        if matches!(payload.first(), Some(b'T' | b'S' | b'W' | b'X' | b'N')) {
            self.note_stop(payload);
        }
        self.debugger.send(payload)
    }

    fn note_stop(&mut self, payload: &[u8]) {
        self.is_running = false;
        self.look = None;
        // QEMU now answers for the processor that stopped, and the debugger knows.
        self.chosen = None;
        self.fiber = None;
        self.stopped = resume::stopped_thread(payload);
    }

    fn from_debugger(&mut self, item: Item) -> io::Result<()> {
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
            return self.resume(resume, packet);
        }
        if packet.starts_with(b"qSupported") {
            let mut answer = self.ask(packet)?;
            answer.extend(b";QStartNoAckMode+");
            if self.kernel.is_some() {
                answer.extend(b";qXfer:threads:read+");
            }
            return self.debugger.send(&answer);
        }
        if matches!(packet.first(), Some(b'M' | b'X' | b'P' | b'G')) && self.fiber.is_none() {
            // Perhaps it is a fiber's state that changes.
            self.look = None;
        }
        if self.kernel.is_some()
            && let Some(answer) = self.own_answer(packet)?
        {
            return self.debugger.send(&answer);
        }
        self.pass(packet)
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
        }
        self.debugger.send(&answer)
    }

    fn resume(&mut self, resume: Resume, packet: &[u8]) -> io::Result<()> {
        match resume {
            Resume::Pass => self.qemu.send(packet)?,
            Resume::Instead(other) => self.qemu.send(&other)?,
            Resume::OnlyFiber(number) => {
                let name = self
                    .fiber(number)?
                    .map_or_else(String::new, |fiber| fiber.title());
                for answer in resume::refusal(&name, self.id(number)?) {
                    self.debugger.send(&answer)?;
                }
                return Ok(());
            }
        }
        self.is_running = true;
        self.look = None;
        Ok(())
    }

    /// The answer to a packet about threads, or about the registers of a fiber.
    fn own_answer(&mut self, packet: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let text = String::from_utf8_lossy(packet);
        let (word, rest) = text.split_at(text.len().min(2));
        Ok(match word {
            "Hg" | "Hc" => self.choose_thread(packet, word == "Hg", rest)?,
            "qf" if rest == "ThreadInfo" => {
                let threads = self.threads()?;
                self.listing = threads.iter().map(|thread| thread.id.to_string()).collect();
                Some(threads::next_ids(&mut self.listing))
            }
            "qs" if rest == "ThreadInfo" => Some(threads::next_ids(&mut self.listing)),
            "qT" => match rest.strip_prefix("hreadExtraInfo,") {
                Some(id) => self.about(id, &threads::extra_info)?,
                None => match rest.strip_prefix("hreadStopInfo") {
                    Some(id) => {
                        let stopped = self.stopped;
                        self.about(id, &|thread| threads::stop_info(thread, stopped))?
                    }
                    None => None,
                },
            },
            "qX" => match rest.strip_prefix("fer:threads:read::") {
                Some(range) => Some(self.part_of_description(range)?),
                None => None,
            },
            _ if word.starts_with('T') => {
                let id = ThreadId::parse(&packet[1..]).and_then(ThreadId::number);
                match id.filter(|number| *number >= FIRST_FIBER) {
                    Some(number) => Some(match self.fiber(number)? {
                        Some(_) => b"OK".to_vec(),
                        None => NO_THREAD.to_vec(),
                    }),
                    None => None,
                }
            }
            _ => match self.fiber {
                Some(number) => self.about_registers(packet, number)?,
                None => None,
            },
        })
    }

    /// Chooses the thread for the registers (`is_general`), or for old packets that continue.
    fn choose_thread(
        &mut self,
        packet: &[u8],
        is_general: bool,
        id: &str,
    ) -> io::Result<Option<Vec<u8>>> {
        let number = ThreadId::parse(id.as_bytes()).and_then(ThreadId::number);
        let number = number.filter(|number| *number >= FIRST_FIBER);
        if !is_general {
            self.continued = number;
            return Ok(number.map(|_| b"OK".to_vec()));
        }
        let Some(number) = number else {
            self.fiber = None;
            self.chosen = Some(packet.to_vec());
            return Ok(None);
        };
        if self.fiber(number)?.is_none() {
            return Ok(Some(NO_THREAD.to_vec()));
        }
        self.fiber = Some(number);
        // Memory is read as the processor sees it that sees the fibers.
        if let Some(reader) = self.look()?.reader {
            choose(self, reader)?;
        }
        Ok(Some(b"OK".to_vec()))
    }

    /// The answer to a packet about the registers of the fiber that is chosen.
    fn about_registers(&mut self, packet: &[u8], number: u64) -> io::Result<Option<Vec<u8>>> {
        let of_fiber = self.fiber(number)?;
        let Some(fiber) = of_fiber else {
            return Ok(matches!(packet.first(), Some(b'g' | b'p' | b'G' | b'P'))
                .then(|| NO_THREAD.to_vec()));
        };
        Ok(match packet {
            b"g" => {
                let bytes = self.look()?.register_bytes;
                Some(registers::all(&fiber.registers, bytes))
            }
            [b'p', digits @ ..] => {
                let number = packet::number(digits);
                match number.and_then(|number| registers::one(&fiber.registers, number)) {
                    Some(answer) => Some(answer),
                    // As long as that of the processor.
                    None => Some(registers::unknown(&self.ask(packet)?)),
                }
            }
            [b'G' | b'P', ..] => Some(registers::refusal(&fiber.title())),
            _ => None,
        })
    }

    fn about(
        &mut self,
        id: &str,
        answer: &dyn Fn(&Thread) -> Vec<u8>,
    ) -> io::Result<Option<Vec<u8>>> {
        let number = ThreadId::parse(id.as_bytes()).and_then(ThreadId::number);
        let threads = self.threads()?;
        let thread = threads.iter().find(|thread| thread.id.number() == number);
        let Some(thread) = thread else {
            return Ok(Some(NO_THREAD.to_vec()));
        };
        let thread = self.described(thread)?;
        Ok(Some(answer(&thread)))
    }

    fn part_of_description(&mut self, range: &str) -> io::Result<Vec<u8>> {
        let mut numbers = range.split(',').map(|word| packet::number(word.as_bytes()));
        let (Some(Some(offset)), Some(Some(length))) = (numbers.next(), numbers.next()) else {
            return Ok(b"E00".to_vec());
        };
        if offset == 0 {
            let threads = self.threads()?;
            let described = threads.iter().map(|thread| self.described(thread));
            let described = described.collect::<io::Result<Vec<_>>>()?;
            self.description = threads::xml(&described).into_bytes();
        }
        let index = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let length = index(length).min(threads::MOST_BYTES);
        Ok(packet::part(&self.description, index(offset), length))
    }

    /// A thread with what QEMU says about it, if it is a processor.
    fn described(&mut self, thread: &Thread) -> io::Result<Thread> {
        let mut thread = thread.clone();
        if thread.is_processor {
            let says = self.ask(format!("qThreadExtraInfo,{}", thread.id).as_bytes())?;
            let says = packet::bytes(&says).unwrap_or_default();
            thread.add_what_qemu_says(&String::from_utf8_lossy(&says));
        }
        Ok(thread)
    }

    /// All threads: the processors, and the fibers that do not run.
    fn threads(&mut self) -> io::Result<Vec<Thread>> {
        let look = self.look()?.clone();
        let first = look.processors.first().map(|processor| processor.id);
        let mut threads: Vec<Thread> = look.processors.iter().map(Thread::of_processor).collect();
        for fiber in &look.fibers {
            let number = self.number(fiber);
            threads.extend(first.map(|first| Thread::of_fiber(first.beside(number), fiber)));
        }
        Ok(threads)
    }

    /// The name of a fiber for the debugger.
    fn id(&mut self, number: u64) -> io::Result<ThreadId> {
        let first = self.look()?.processors.first();
        let first = first.map(|processor| processor.id);
        let nobody = ThreadId::parse(b"0").expect("a thread-id");
        Ok(first.unwrap_or(nobody).beside(number))
    }

    /// The fiber of this number, if it does not run now and has not ended.
    fn fiber(&mut self, number: u64) -> io::Result<Option<Fiber>> {
        let fibers = self.look()?.fibers.clone();
        let mut all = fibers.into_iter();
        Ok(all.find(|fiber| self.number(fiber) == number))
    }

    /// The number of a fiber, which it keeps.
    fn number(&mut self, fiber: &Fiber) -> u64 {
        let next = FIRST_FIBER + self.numbers.len() as u64;
        let numbers = self.numbers.entry((fiber.header, fiber.generation));
        *numbers.or_insert(next)
    }

    /// What there is at this stop.
    fn look(&mut self) -> io::Result<&Look> {
        if self.look.is_none() {
            let kernel = self.kernel.expect("own answers need a kernel");
            let stopped = self.stopped;
            let look = look::look(kernel, self, stopped)?;
            // QEMU answers again for whom the debugger chose.
            if self.fiber.is_some()
                && let Some(reader) = look.reader
            {
                choose(self, reader)?;
            } else if let Some(chosen) = self.chosen.clone() {
                self.ask(&chosen)?;
            } else if let Some(stopped) = self.stopped
                && let Some(first) = look.processors.first()
            {
                choose(self, first.id.beside(stopped))?;
            }
            self.look = Some(look);
        }
        Ok(self.look.as_ref().expect("just set"))
    }

    /// The next packet of QEMU.
    fn answer(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.events.recv().map_err(io::Error::other)? {
                (From::Debugger, item) => self.waiting.push_back(item),
                (From::Qemu, None) => return Err(gone()),
                (From::Qemu, Some(item)) => {
                    if let Some(payload) = self.from_qemu(item)? {
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
