//! What is answered here: packets about threads, and about the registers of a fiber.

use std::io;

use super::{FIRST_FIBER, Session};
use crate::gdb::look::{Target as _, choose};
use crate::gdb::thread_id::ThreadId;
use crate::gdb::threads::{self, Thread};
use crate::gdb::{packet, registers};

/// What is answered to a thread that is not there, or no longer.
const NO_THREAD: &[u8] = b"E16";
/// What is answered to a register that is not known.
const UNKNOWN: &[u8] = b"E45";

/// The number in a thread-id, if it is that of a fiber.
fn fiber_in(id: &str) -> Option<u64> {
    let number = ThreadId::parse(id.as_bytes()).and_then(ThreadId::number);
    number.filter(|number| *number >= FIRST_FIBER)
}

impl Session<'_> {
    /// The answer to a packet, or `None` if QEMU answers it.
    pub(super) fn own_answer(&mut self, packet: &[u8]) -> io::Result<Option<Vec<u8>>> {
        if self.kernel.is_none() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(packet);
        if let Some(id) = text.strip_prefix("Hg") {
            return self.choose_thread(packet, id);
        }
        if let Some(id) = text.strip_prefix("Hc") {
            self.continued = fiber_in(id);
            return Ok(self.continued.map(|_| b"OK".to_vec()));
        }
        if text == "qfThreadInfo" {
            let threads = self.threads()?;
            self.listing = threads.iter().map(|thread| thread.id.to_string()).collect();
        }
        if text == "qfThreadInfo" || text == "qsThreadInfo" {
            return Ok(Some(threads::next_ids(&mut self.listing)));
        }
        if let Some(id) = text.strip_prefix("qThreadExtraInfo,") {
            return self.about(id, &threads::extra_info).map(Some);
        }
        if let Some(id) = text.strip_prefix("qThreadStopInfo") {
            let stopped = self.stopped;
            return (self.about(id, &|thread| threads::stop_info(thread, stopped))).map(Some);
        }
        if let Some(range) = text.strip_prefix("qXfer:threads:read::") {
            return self.part_of_description(range).map(Some);
        }
        if let Some(number) = text.strip_prefix('T').and_then(fiber_in) {
            let is_there = self.fiber(number)?.is_some();
            return Ok(Some(if is_there { b"OK" } else { NO_THREAD }.to_vec()));
        }
        match self.fiber {
            Some(number) => self.about_registers(packet, number),
            None => Ok(None),
        }
    }

    /// Chooses the thread whose registers are asked for.
    fn choose_thread(&mut self, packet: &[u8], id: &str) -> io::Result<Option<Vec<u8>>> {
        let Some(number) = fiber_in(id) else {
            self.fiber = None;
            self.chosen = Some(packet.to_vec());
            return Ok(None);
        };
        if self.fiber(number)?.is_none() {
            return Ok(Some(NO_THREAD.to_vec()));
        }
        self.fiber = Some(number);
        // Memory is read as the processor sees it that sees the fibers.
        if let Some(reader) = self.look()?.and_then(|look| look.reader) {
            choose(self, reader)?;
        }
        Ok(Some(b"OK".to_vec()))
    }

    /// The answer to a packet about the registers of the fiber that is chosen.
    fn about_registers(&mut self, packet: &[u8], number: u64) -> io::Result<Option<Vec<u8>>> {
        if !matches!(packet.first(), Some(b'g' | b'p' | b'G' | b'P')) {
            return Ok(None);
        }
        let Some(fiber) = self.fiber(number)? else {
            return Ok(Some(NO_THREAD.to_vec()));
        };
        Ok(Some(match packet {
            b"g" => {
                let bytes = self.look()?.map_or(0, |look| look.register_bytes);
                registers::all(&fiber.registers, bytes)
            }
            [b'p', digits @ ..] => {
                let number = packet::number(digits);
                let one = number.and_then(|number| registers::one(&fiber.registers, number));
                // LLDB would take the digit `x` for a value.
                one.unwrap_or_else(|| UNKNOWN.to_vec())
            }
            _ => registers::refusal(&fiber.title()),
        }))
    }

    fn about(&mut self, id: &str, answer: &dyn Fn(&Thread) -> Vec<u8>) -> io::Result<Vec<u8>> {
        let number = ThreadId::parse(id.as_bytes()).and_then(ThreadId::number);
        let thread = match number {
            Some(number) => self.thread(number)?,
            None => None,
        };
        Ok(thread.map_or_else(|| NO_THREAD.to_vec(), |thread| answer(&thread)))
    }

    fn part_of_description(&mut self, range: &str) -> io::Result<Vec<u8>> {
        let numbers = range.split_once(',');
        let numbers = numbers.and_then(|(offset, length)| {
            let [offset, length] = [offset, length].map(|word| packet::number(word.as_bytes()));
            Some((
                usize::try_from(offset?).ok()?,
                usize::try_from(length?).ok()?,
            ))
        });
        let Some((offset, length)) = numbers else {
            return Ok(b"E00".to_vec());
        };
        if offset == 0 {
            let threads = self.threads()?;
            let described = threads.into_iter().map(|thread| self.described(thread));
            let described = described.collect::<io::Result<Vec<_>>>()?;
            self.description = threads::xml(&described).into_bytes();
        }
        let length = length.min(threads::MOST_BYTES);
        Ok(packet::part(&self.description, offset, length))
    }

    /// The thread of this number, if there is one.
    pub(super) fn thread(&mut self, number: u64) -> io::Result<Option<Thread>> {
        let mut threads = self.threads()?.into_iter();
        let thread = threads.find(|thread| thread.id.number() == Some(number));
        thread.map(|thread| self.described(thread)).transpose()
    }

    /// A thread with what QEMU says about it, if it is a processor.
    fn described(&mut self, mut thread: Thread) -> io::Result<Thread> {
        if thread.is_processor {
            let says = self.ask(format!("qThreadExtraInfo,{}", thread.id).as_bytes())?;
            let says = packet::bytes(&says).unwrap_or_default();
            thread.add_what_qemu_says(&String::from_utf8_lossy(&says));
        }
        Ok(thread)
    }

    /// All threads: the processors, and the fibers that do not run.
    fn threads(&mut self) -> io::Result<Vec<Thread>> {
        let Some(look) = self.look()?.cloned() else {
            return Ok(Vec::new());
        };
        let first = look.processors.first().map(|processor| processor.id);
        let mut threads: Vec<Thread> = look.processors.iter().map(Thread::of_processor).collect();
        for fiber in &look.fibers {
            let number = self.number(fiber);
            threads.extend(first.map(|first| Thread::of_fiber(first.beside(number), fiber)));
        }
        Ok(threads)
    }
}
