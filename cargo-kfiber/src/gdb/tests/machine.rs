//! A machine that is played: it has processors, memory with fibers in it, and stops as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::os::unix::net::UnixStream;

use crate::gdb::kernel::{Current, Kernel, Layout};
use crate::gdb::look::place;
use crate::gdb::packet::{self, Item, Items};

/// Where the list of all fibers begins.
pub(super) const LIST: u64 = 0x1000;
/// Where one core says which fiber it runs.
pub(super) const WORD: u64 = 0x1008;
const HEADERS: u64 = 0x10_0000;
const STACK_BYTES: u64 = 0x1000;
const REGISTER_BYTES: usize = 200;

/// Offsets that are all different.
pub(super) const LAYOUT: Layout = Layout {
    rip: 40,
    rsp: 48,
    rbp: 32,
    rbx: 56,
    turns: 24,
    state: 64,
    wait: 72,
    name_at: 80,
    name_bytes: 112,
    stack_bottom: 96,
    next_of_all: 104,
    link_check: 114,
    wait_kind: 0,
    wait_object: 8,
    wait_location: 16,
    kind_reason: 8,
    location_file: 0,
    location_line: 16,
};

/// A kernel whose fibers lie in the memory of a [`Machine`].
pub(super) fn kernel(current: Current) -> Kernel {
    Kernel::of_parts(LAYOUT, vec![LIST], current)
}

/// The machine.
#[derive(Default)]
pub(super) struct Machine {
    pub(super) memory: BTreeMap<u64, u8>,
    /// The stack pointer, instruction pointer, GS base and kernel GS base of each processor.
    pub(super) processors: Vec<[u64; 4]>,
    /// The processor that answers.
    chosen: usize,
    /// How the machine stops when it goes on: which processor, its `rsp` and `rip`, and the packet.
    pub(super) stops: VecDeque<(usize, u64, u64, &'static str)>,
    /// All packets that came.
    pub(super) log: Vec<String>,
    /// The packet at which the machine hangs up.
    pub(super) dies_at: Option<&'static str>,
    /// Whether the first answer is damaged on its way.
    pub(super) is_noisy: bool,
    fibers: u64,
}

impl Machine {
    pub(super) fn new(processors: usize) -> Self {
        Self {
            processors: vec![[0x500, 0x400, 0, 0]; processors],
            memory: (LIST..LIST + 16).map(|address| (address, 0)).collect(),
            ..Self::default()
        }
    }

    pub(super) fn write(&mut self, address: u64, bytes: &[u8]) {
        for (address, byte) in (address..).zip(bytes) {
            self.memory.insert(address, *byte);
        }
    }

    pub(super) fn set(&mut self, address: u64, value: u64) {
        self.write(address, &value.to_le_bytes());
    }

    pub(super) fn word(&self, address: u64) -> u64 {
        let byte = |offset| self.memory.get(&(address + offset)).copied().unwrap_or(0);
        u64::from_le_bytes(core::array::from_fn(|offset| byte(offset as u64)))
    }

    /// Adds a fiber with these bits in its state word, which has run if `turns` is not 0. Returns its
    /// header.
    pub(super) fn add_fiber(&mut self, name: &str, bits: u64, turns: u64) -> u64 {
        let header = HEADERS + self.fibers * 2 * STACK_BYTES + STACK_BYTES;
        self.fibers += 1;
        self.write(header, &[0; 256]);
        self.write(header + 0x200, name.as_bytes());
        let next = self.word(LIST);
        for (offset, value) in [
            (LAYOUT.rip, header + 1),
            (LAYOUT.rsp, header - 0x100),
            (LAYOUT.rbp, header + 3),
            (LAYOUT.rbx, header + 4),
            (LAYOUT.turns, turns),
            (LAYOUT.state, 1 << 32 | bits),
            (LAYOUT.name_at, header + 0x200),
            (LAYOUT.stack_bottom, header - STACK_BYTES),
            (LAYOUT.next_of_all, next),
        ] {
            self.set(header + offset, value);
        }
        self.write(
            header + LAYOUT.name_bytes,
            &[u8::try_from(name.len()).expect("a short name")],
        );
        let check = (next ^ 0xf1be_57ac_f1be_57ac).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
        self.write(header + LAYOUT.link_check, &check.to_le_bytes()[..2]);
        self.set(LIST, header);
        header
    }

    /// Has a fiber wait for a mutex at `object`, in line 7 of `a.rs`.
    pub(super) fn wait_for_mutex(&mut self, header: u64, object: u64) {
        let wait = header - 0x80;
        for (address, value) in [
            (header + LAYOUT.wait, wait),
            (header + LAYOUT.state, 1 << 32 | 2),
            (wait, wait + 0x20),
            (wait + 8, object),
            (wait + 16, wait + 0x30),
            (wait + 24, 0),
            (wait + 0x20, 0),
            (wait + 0x28, 6),
            (wait + 0x30, wait + 0x48),
            (wait + 0x38, 4),
            (wait + 0x40, 7),
        ] {
            self.set(address, value);
        }
        self.write(wait + 0x48, b"a.rs");
        for address in wait..wait + 0x50 {
            self.memory.entry(address).or_insert(0);
        }
    }

    /// Answers packets until the other side goes.
    pub(super) fn serve(mut self, mut stream: UnixStream) -> Self {
        let items = Items::new(stream.try_clone().expect("a socket"));
        let mut last = Vec::new();
        for item in items.map_while(Result::ok) {
            let answer = match item {
                Item::Packet(payload) => {
                    let packet = String::from_utf8_lossy(&payload).into_owned();
                    if self.dies_at.is_some_and(|end| packet.starts_with(end)) {
                        break;
                    }
                    let answer = self.answer(&packet);
                    self.log.push(packet);
                    answer
                }
                Item::Again => {
                    self.log.push("-".to_owned());
                    drop(stream.write_all(&last));
                    continue;
                }
                Item::Interrupt => {
                    self.log.push("Ctrl-C".to_owned());
                    Some("T02thread:01;".to_owned())
                }
                Item::Broken => panic!("the session sent a broken packet"),
            };
            let Some(answer) = answer else { continue };
            last = packet::framed(answer.as_bytes());
            let mut bytes = last.clone();
            if core::mem::take(&mut self.is_noisy) {
                *bytes.last_mut().expect("a packet has bytes") ^= 1;
            }
            // A session that has ended takes no answer.
            drop(stream.write_all(&bytes));
        }
        self
    }

    fn answer(&mut self, packet: &str) -> Option<String> {
        let ok = || Some("OK".to_owned());
        if let Some(id) = packet.strip_prefix("Hg") {
            self.chosen = usize::from_str_radix(id, 16).unwrap_or(1).max(1) - 1;
            return ok();
        }
        if let Some(range) = packet.strip_prefix('m') {
            let (address, length) = range.split_once(',').expect("a range");
            let [address, length] =
                [address, length].map(|word| u64::from_str_radix(word, 16).expect("a number"));
            let bytes = (0..length).map(|offset| self.memory.get(&(address + offset)).copied());
            let bytes: Option<Vec<u8>> = bytes.collect();
            return Some(bytes.map_or("E14".to_owned(), |bytes| packet::hex(&bytes)));
        }
        if packet == "vCont;c" || packet.starts_with("vCont;s") || packet == "c" {
            let (processor, rsp, rip, stop) = self.stops.pop_front()?;
            self.processors[processor][..2].copy_from_slice(&[rsp, rip]);
            self.chosen = processor;
            return Some(stop.to_owned());
        }
        Some(match packet {
            "qSupported" => "PacketSize=1000".to_owned(),
            "qfThreadInfo" => "m01".to_owned(),
            "qsThreadInfo" => {
                let asked = self.log.iter().rev();
                let before = asked.take_while(|packet| *packet == "qsThreadInfo").count();
                match before + 2 {
                    next if next <= self.processors.len() => format!("m{next:02x}"),
                    _ => "l".to_owned(),
                }
            }
            "g" => packet::hex(&self.registers()),
            "?" => "T05thread:01;".to_owned(),
            _ if packet.starts_with("qThreadExtraInfo,") => packet::hex(b"CPU#0 [running]"),
            _ if packet.starts_with(['Z', 'z', 'M', 'P']) => return ok(),
            _ => String::new(),
        })
    }

    fn registers(&self) -> Vec<u8> {
        let [rsp, rip, gs, kernel_gs] = self.processors[self.chosen];
        let mut bytes = vec![0x11; REGISTER_BYTES];
        for (place, value) in [
            (place::RSP, rsp),
            (place::RIP, rip),
            (place::GS_BASE, gs),
            (place::KERNEL_GS_BASE, kernel_gs),
        ] {
            bytes[usize::try_from(place).expect("a small number")..][..8]
                .copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }
}
