//! Sixteen fibers and the code that started them, each of which goes on in any other at random, by any form that fits.

mod plan;

use core::{array, cell::UnsafeCell, ptr};

use kfiber::{
    context::{Context, ControlBlock, Payload, switch_out_of_line},
    stack::{Stack, StackHandle, StackMemory, Storage},
};

use crate::checked::{Check, Form, own};

/// How many fibers there are.
pub(crate) const FIBERS: usize = 16;
/// The fibers, and the code that started them, which is number 0.
pub(crate) const SIDES: usize = FIBERS + 1;
/// Stands for no side.
const NOBODY: usize = usize::MAX;
/// A fiber that may end does so once in so many switches.
const ENDS_ONCE_IN: u64 = 16;

const STACK_SIZE: usize = 32 * 1024;
static STACKS: [Stack<STACK_SIZE>; FIBERS] = [const { Stack::new() }; FIBERS];

/// One who can run.
#[repr(C)]
struct Side {
    block: ControlBlock,
    check: Check,
    /// Where its registers are while it waits.
    stored_in: *mut Context,
    /// In whose block that is.
    stored_at: usize,
    /// Who waits in the parent's context of this block.
    waiter: usize,
    top: *mut u8,
}

/// All sides and what they did.
pub(crate) struct World {
    sides: [Side; SIDES],
    random: u64,
    /// A fiber that has just ended and is to be made anew.
    ended: usize,
    is_draining: bool,
    /// Stands in for the out-of-line form.
    pub(crate) out_of_line: Form,
    /// Switches to verify.
    pub(crate) rounds: u64,
    /// Switches made, ends of fibers among them.
    pub(crate) made: u64,
    /// Switches that came back to a side which found all its registers.
    pub(crate) verified: u64,
    /// Switches that entered a fresh fiber.
    pub(crate) entered: u64,
    /// Fibers that ended.
    pub(crate) ends: u64,
    /// Made by: resume, suspend, switch, switch among locals; the rest were out of line or ends.
    pub(crate) inline: [u64; 4],
    /// Switches after which something differed.
    pub(crate) failed: u64,
}

struct Shared(UnsafeCell<World>);

// SAFETY: One core; `world` says who may look.
unsafe impl Sync for Shared {}

static WORLD: Shared = Shared(UnsafeCell::new(World {
    sides: [const {
        Side {
            block: ControlBlock::new(),
            check: Check::new(),
            stored_in: ptr::null_mut(),
            stored_at: NOBODY,
            waiter: NOBODY,
            top: ptr::null_mut(),
        }
    }; SIDES],
    random: 0,
    ended: NOBODY,
    is_draining: false,
    out_of_line: switch_out_of_line,
    rounds: 0,
    made: 0,
    verified: 0,
    entered: 0,
    ends: 0,
    inline: [0; 4],
    failed: 0,
}));

/// Returns the world, for the side that runs, until it switches.
#[inline(always)]
pub(crate) fn world() -> &'static mut World {
    // SAFETY: Only one side runs at a time, and none keeps the reference over a switch. The blocks and checks are also
    // reached through pointers made from this one, by the switches.
    unsafe { &mut *WORLD.0.get() }
}

/// The stacks of the fibers, held for as long as they run.
pub(crate) struct Stacks([StackHandle<Stack<STACK_SIZE>>; FIBERS]);

impl Stacks {
    /// Says whether nothing wrote over the canaries.
    pub(crate) fn are_intact(&self) -> bool {
        self.0.iter().all(StackMemory::is_canary_intact)
    }

    /// Says whether the address lies in one of the stacks, or right at a top.
    pub(crate) fn contain(&self, address: usize) -> bool {
        self.0.iter().any(|stack| {
            let bounds = stack.bounds();
            bounds.contains(address) || bounds.top().addr() == address
        })
    }
}

impl World {
    /// Makes all fibers, which go on until `rounds` switches are verified.
    pub(super) fn begin(&mut self, rounds: u64, seed: u64) -> Stacks {
        self.rounds = rounds;
        self.random = seed | 1;
        let stacks = Stacks(array::from_fn(|index| {
            STACKS[index].take().expect("first use")
        }));
        for (side, stack) in (1..).zip(&stacks.0) {
            self.sides[side].top = stack.bounds().top();
            self.make_fiber(side);
        }
        stacks
    }

    fn make_fiber(&mut self, side: usize) {
        let this = &mut self.sides[side];
        let block = &raw mut this.block;
        // SAFETY: The stack is this fiber's alone, its top is aligned, and the body does not unwind; the world is static.
        unsafe { ControlBlock::init(block, this.top, super::entry) };
        this.stored_in = own(block);
        this.stored_at = side;
        this.waiter = NOBODY;
    }

    /// Marsaglia's xorshift, whose steps no build makes function calls of.
    #[inline(always)]
    pub(super) const fn next_random(&mut self) -> u64 {
        let mut x = self.random;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random = x;
        x
    }

    /// The number of the side with this block.
    pub(super) fn side_of(&self, block: *mut ControlBlock) -> usize {
        (block.addr() - (&raw const self.sides).addr()) / size_of::<Side>()
    }

    /// Notes that the fiber `me` was entered, with this payload.
    pub(super) fn note_entry(&mut self, me: usize, payload: usize) {
        assert_eq!(payload, (&raw const self.sides[me].check).addr());
        self.entered += 1;
        self.make_anew();
    }

    /// Notes that `me` is back.
    #[inline]
    pub(super) fn landed(&mut self, me: usize, difference: u64) {
        if difference == 0 {
            self.verified += 1;
        } else {
            self.fail(me);
        }
        self.make_anew();
    }

    /// Makes the fiber anew that has just ended; its stack is free since somebody else runs.
    #[inline]
    fn make_anew(&mut self) {
        if self.ended != NOBODY {
            let ended = self.ended;
            self.ended = NOBODY;
            self.make_fiber(ended);
        }
    }

    #[cold]
    const fn fail(&mut self, me: usize) {
        self.failed += 1;
        self.sides[me].check.difference = [0; 9];
    }

    /// Says whether the fiber `me` is to end now.
    #[inline]
    pub(super) const fn is_to_end(&mut self, me: usize) -> bool {
        if self.is_draining {
            return true;
        }
        self.sides[me].waiter != NOBODY
            && self.verified < self.rounds
            && self.next_random() >> 32 & (ENDS_ONCE_IN - 1) == 0
    }

    /// The last word of the fiber `me`: what it returns.
    pub(super) fn end(&mut self, me: usize) -> Payload {
        let waiter = self.sides[me].waiter;
        self.made += 1;
        self.ends += 1;
        self.ended = me;
        self.sides[me].waiter = NOBODY;
        self.sides[waiter].check.tag = ptr::null_mut();
        Payload::new((&raw mut self.sides[waiter].check).addr())
    }

    /// Where each fiber that waits will go on.
    pub(crate) fn resume_addresses(&self) -> impl Iterator<Item = usize> {
        self.sides[1..].iter().map(|side| {
            // SAFETY: Where a waiting side is stored is a context in a block of this world. The instruction pointer is its
            // second word, as the declaration for C says.
            unsafe { side.stored_in.cast::<usize>().wrapping_add(1).read() }
        })
    }
}
