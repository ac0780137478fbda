//! Where the instructions of the switch lie, found from what the switch itself stores: so that a test can say in which
//! part of it an interrupt or a step landed.

use core::ops::Range;

use kfiber::{
    context::{ControlBlock, Payload},
    stack::{Stack, Storage},
};

/// The ends: one for each form.
pub(crate) const TAILS: usize = 4;
/// The most landings that are told apart: one for each form, and more where the compiler copied one.
const LANDINGS: usize = 16;
const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
const JMP_REL32: u8 = 0xe9;
/// `lea rax, [rip + …]`, the first instruction of the inline part.
const LEA_RAX: [u8; 3] = [0x48, 0x8d, 0x05];
/// `jmp rdx` and `int3`, the last of `base` and of the end of the switch out of line.
const JMP_RDX: &[u8] = &[0xff, 0xe2, 0xcc];
/// A jump to the address in a block and `int3`, the last of the other tails: `jmp [rsi + 0x28]`, `jmp [rsi + 8]` and
/// `jmp [r10 + 0x28]`.
const JMPS_TO_WORD: [&[u8]; 3] = [
    &[0xff, 0x66, 0x28, 0xcc],
    &[0xff, 0x66, 0x08, 0xcc],
    &[0x41, 0xff, 0x62, 0x28, 0xcc],
];

/// A part of the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// From the address of the landing to the jump, and the landing itself, wherever a switch is.
    Inline,
    /// One of the shared ends.
    Tail,
    /// The first frame of a fiber.
    Base,
    /// All other code.
    Elsewhere,
}

/// The addresses of the parts.
#[derive(Debug)]
pub(crate) struct Anatomy {
    inline: [Range<usize>; LANDINGS],
    count: usize,
    /// Where the forms of the switch end, in the order in which they were learned.
    pub(crate) tails: [Range<usize>; TAILS],
    base: Range<usize>,
}

/// Reads an instruction's bytes.
fn bytes<const N: usize>(address: usize) -> [u8; N] {
    let address: *const [u8; N] = core::ptr::with_exposed_provenance(address);
    // SAFETY: The callers pass addresses of code, which is mapped and never written.
    unsafe { address.read() }
}

/// The end of the code at `start`, which is the first jump of its kind.
fn end_of(start: usize) -> usize {
    let end = (start..start + 256).find_map(|address| {
        let mut jumps = JMPS_TO_WORD.into_iter().chain([JMP_RDX]);
        let found = jumps.find(|jump| bytes::<5>(address).starts_with(jump));
        found.map(|jump| address + jump.len())
    });
    end.expect("tails and base end in a jump")
}

/// Never runs: only its first frame is looked at.
const unsafe extern "sysv64" fn nothing(payload: Payload, _: *mut ControlBlock) -> Payload {
    payload
}

impl Anatomy {
    /// Knows the first frame, and no switch yet.
    pub(crate) fn new() -> Self {
        static STACK: Stack<4096> = Stack::new();
        let mut block = ControlBlock::new();
        // SAFETY: The block is ours, and the fiber never runs.
        unsafe { ControlBlock::init(&raw mut block, STACK.storage_bounds().top(), nothing) };
        let instruction_pointer = (&raw const *block.own()).cast::<usize>().wrapping_add(1);
        // SAFETY: The second word of a context, as the declaration for C says.
        let entry = unsafe { instruction_pointer.read() };
        Self {
            inline: [const { 0..0 }; LANDINGS],
            count: 0,
            tails: [const { 0..0 }; TAILS],
            base: entry - 1..end_of(entry),
        }
    }

    /// Learns from where a context goes on.
    pub(crate) fn learn(&mut self, landing: usize) {
        if self.base.contains(&landing) || self.inline().any(|part| part.contains(&landing)) {
            return;
        }
        assert_eq!(
            bytes(landing),
            ENDBR64,
            "an indirect jump lands at {landing:#x}"
        );
        assert_eq!(bytes(landing - 5), [JMP_REL32]);
        let tail = landing.wrapping_add_signed(i32::from_le_bytes(bytes(landing - 4)) as isize);
        let place = self
            .tails
            .iter_mut()
            .find(|known| Range::is_empty(known) || known.start == tail);
        *place.expect("each form of the switch has one tail") = tail..end_of(tail);
        let is_start = |&address: &usize| {
            let to_landing = i32::from_le_bytes(bytes(address + 3)) as isize;
            bytes(address) == LEA_RAX && (address + 7).wrapping_add_signed(to_landing) == landing
        };
        let start = (landing - 96..landing).rev().find(is_start);
        let start = start.expect("the inline part begins with the address of its landing");
        self.inline[self.count] = start..landing + ENDBR64.len();
        self.count += 1;
    }

    /// The inline parts that were found.
    pub(crate) fn inline(&self) -> impl Iterator<Item = &Range<usize>> {
        self.inline[..self.count].iter()
    }

    /// Says which part an instruction belongs to.
    pub(crate) fn part(&self, address: usize) -> Part {
        if self.tails.iter().any(|tail| tail.contains(&address)) {
            Part::Tail
        } else if self.base.contains(&address) {
            Part::Base
        } else if self.inline().any(|part| part.contains(&address)) {
            Part::Inline
        } else {
            Part::Elsewhere
        }
    }
}
