//! What is found out at one stop of the machine: its processors, and the fibers that do not run.

use std::io;

use super::fibers::{self, Fiber, Memory, word};
use super::kernel::{Current, Kernel};
use super::packet;
use super::thread_id::ThreadId;

/// The places of registers in the bytes of a `g` packet of QEMU: `gdb-xml/i386-64bit.xml` of its
/// source has their order.
pub(super) mod place {
    pub(crate) const RBX: u64 = 8;
    pub(crate) const RBP: u64 = 6 * 8;
    pub(crate) const RSP: u64 = 7 * 8;
    pub(crate) const RIP: u64 = 16 * 8;
    /// Behind `eflags` and the six segments, of four bytes each, and the FS base.
    pub(crate) const GS_BASE: u64 = RIP + 8 + 7 * 4 + 8;
    pub(crate) const KERNEL_GS_BASE: u64 = GS_BASE + 8;
}

/// Somebody who answers packets: QEMU.
pub(super) trait Target {
    /// The answer to a packet.
    fn ask(&mut self, packet: &[u8]) -> io::Result<Vec<u8>>;
}

/// A processor.
#[derive(Clone, Debug)]
pub(super) struct Processor {
    pub(super) id: ThreadId,
    /// The fiber that it runs.
    pub(super) fiber: Option<String>,
}

/// What was found; see the [module](self).
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) processors: Vec<Processor>,
    /// The fibers that do not run.
    pub(super) fibers: Vec<Fiber>,
    /// The processor that sees the memory of the kernel.
    pub(super) reader: Option<ThreadId>,
    /// The number of bytes of all registers.
    pub(super) register_bytes: usize,
}

/// Looks at a machine that is stopped, because of the processor `stopped` if that is known. Afterwards
/// QEMU answers for some processor, and has to be told for which one it should.
pub(super) fn look(
    kernel: &Kernel,
    target: &mut impl Target,
    stopped: Option<u64>,
) -> io::Result<Look> {
    let ids = threads(target)?;
    let mut registers = Vec::new();
    for id in &ids {
        choose(target, *id)?;
        registers.push(packet::bytes(&target.ask(b"g")?).unwrap_or_default());
    }
    // A processor that has not been started has no page tables yet, so not each of them can read.
    let mut candidates = ids.clone();
    candidates.sort_by_key(|id| id.number() != stopped);
    let mut reader = None;
    for id in candidates {
        choose(target, id)?;
        let mut memory = Remote::new(target);
        let mut lists = kernel.lists.iter();
        if lists.all(|list| memory.read(*list, 8).is_some()) {
            reader = Some(id);
            break;
        }
    }
    let mut memory = Remote::new(target);
    let fibers = match reader {
        Some(_) => fibers::all(kernel, &mut memory),
        None => Vec::new(),
    };
    let running = running(kernel, &mut memory, &fibers, &registers);
    memory.end()?;
    let titles = |index: &Option<usize>| index.map(|index| fibers[index].title());
    let processors = ids.iter().zip(running.iter().map(titles));
    let processors = processors.map(|(id, fiber)| Processor { id: *id, fiber });
    Ok(Look {
        processors: processors.collect(),
        reader,
        register_bytes: registers.iter().map(Vec::len).max().unwrap_or(0),
        fibers: (fibers.iter().enumerate())
            .filter(|(index, _)| !running.contains(&Some(*index)))
            .map(|(_, fiber)| fiber.clone())
            .collect(),
    })
}

/// The threads that QEMU has, which are its processors.
fn threads(target: &mut impl Target) -> io::Result<Vec<ThreadId>> {
    let mut ids = Vec::new();
    let mut answer = target.ask(b"qfThreadInfo")?;
    while let Some(list) = answer.strip_prefix(b"m") {
        let new = list.split(|byte| *byte == b',').filter_map(ThreadId::parse);
        ids.extend(new);
        answer = target.ask(b"qsThreadInfo")?;
    }
    Ok(ids)
}

pub(super) fn choose(target: &mut impl Target, id: ThreadId) -> io::Result<()> {
    target.ask(format!("Hg{id}").as_bytes()).map(drop)
}

/// The fiber that each processor runs. A stack pointer in a fiber's stack says so, also in the middle
/// of a switch. In a handler that has a stack of its own, in a `Fiber` within a fiber, and in user
/// mode, the core's own word says it.
fn running(
    kernel: &Kernel,
    memory: &mut impl Memory,
    fibers: &[Fiber],
    registers: &[Vec<u8>],
) -> Vec<Option<usize>> {
    let on_stack = |registers: &Vec<u8>| {
        let rsp = word(registers, place::RSP)?;
        fibers.iter().position(|fiber| fiber.holds(rsp))
    };
    let mut running: Vec<_> = registers.iter().map(on_stack).collect();
    for index in 0..registers.len() {
        let says = match kernel.current {
            // One core runs fibers, and that is the first one if no stack pointer says otherwise.
            Current::At(address) if index == 0 => number(memory, address),
            Current::PerCore { words, word: at } => {
                let own = words_of(memory, &registers[index], words);
                own.and_then(|own| number(memory, own.checked_add(at)?))
            }
            Current::At(_) | Current::Unknown => None,
        };
        // The lowest bits say where waiting is forbidden.
        let header = says.map_or(0, |says| says & !7);
        let fiber = fibers.iter().position(|fiber| fiber.header == header);
        if running[index].is_none() && !running.contains(&fiber) {
            running[index] = fiber;
        }
    }
    running
}

/// The address of a core's words, which begin with it.
fn words_of(memory: &mut impl Memory, registers: &[u8], words: u64) -> Option<u64> {
    // In user mode, and at the very beginning of a handler, the base is in the other register.
    let mut bases = [place::GS_BASE, place::KERNEL_GS_BASE]
        .into_iter()
        .filter_map(|place| word(registers, place)?.checked_add(words));
    bases.find(|address| number(memory, *address) == Some(*address))
}

fn number(memory: &mut impl Memory, address: u64) -> Option<u64> {
    word(&memory.read(address, 8)?, 0)
}

/// The memory of the machine.
struct Remote<'a, T> {
    target: &'a mut T,
    error: Option<io::Error>,
}

impl<'a, T: Target> Remote<'a, T> {
    const fn new(target: &'a mut T) -> Self {
        Self {
            target,
            error: None,
        }
    }

    /// The error that ended the connection, if it has ended.
    fn end(self) -> io::Result<()> {
        self.error.map_or(Ok(()), Err)
    }
}

impl<T: Target> Memory for Remote<'_, T> {
    fn read(&mut self, address: u64, length: usize) -> Option<Vec<u8>> {
        /// QEMU refuses more than half of its packet's size, 4 KiB.
        const MOST: usize = 1024;
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length && self.error.is_none() {
            let at = address.checked_add(bytes.len() as u64)?;
            let count = MOST.min(length - bytes.len());
            match self.target.ask(format!("m{at:x},{count:x}").as_bytes()) {
                Ok(answer) => {
                    let part = packet::bytes(&answer)?;
                    if part.is_empty() {
                        return None;
                    }
                    bytes.extend(part);
                }
                Err(error) => self.error = Some(error),
            }
        }
        (bytes.len() == length).then_some(bytes)
    }
}
