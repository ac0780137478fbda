//! Sixteen fibers and the code that started them, each of which goes on in any other at random, by any form that fits.
//!
//! One context of a running side is free to be stored in: its own, or the parent's in the block of the fiber that it
//! resumes. So each side that waits is in one place, and what may continue it depends on where that is:
//!
//! | it waits in | it is continued by |
//! |---|---|
//! | its own context, and nobody waits in its parent's | resume and switch, inline and out of line |
//! | its own context | switch, inline and out of line |
//! | the parent's context of the fiber that runs | suspend, inline and out of line, or the fiber's end |
//! | the parent's context of another | the out-of-line form, which takes any two contexts |

use core::{array, cell::UnsafeCell, ptr};

use kfiber::{
    context::{Context, ControlBlock, Payload, switch_out_of_line},
    stack::{Stack, StackMemory, Storage, Taken},
};

use crate::checked::{
    Check, Form, inline_resume, inline_suspend, inline_switch, inline_switch_among_locals, own,
    parent,
};

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

/// What has to be done to go on in another side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) payload: *mut Check,
    pub(super) tag: *mut ControlBlock,
    pub(super) prev: *mut Context,
    pub(super) next: *mut Context,
    pub(super) check: *mut Check,
    pub(super) random: u64,
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
pub(crate) struct Stacks([Taken<Stack<STACK_SIZE>>; FIBERS]);

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

    /// Decides where `me` goes on.
    #[inline]
    pub(super) fn plan(&mut self, me: usize) -> Plan {
        let random = self.next_random();
        let mut target = 0;
        let waiter = self.sides[me].waiter;
        if self.verified >= self.rounds {
            // Number 0 counts the rounds.
        } else if random & 0x30 == 0 && waiter != NOBODY {
            target = waiter; // more often than chance would, since only then can it suspend
        } else {
            target = (random >> 60) as usize;
            if target >= me {
                target += 1;
            }
        }
        self.plan_for(me, target, random)
    }

    /// Decides how `me` goes on in `target`.
    fn plan_for(&mut self, me: usize, target: usize, random: u64) -> Plan {
        let block = &raw mut self.sides[me].block;
        let target_block = &raw mut self.sides[target].block;
        let next = self.sides[target].stored_in;
        let at = self.sides[target].stored_at;
        let (is_inline, is_resume) = (random & 1 == 0, random & 6 == 0);
        let (mut prev, mut tag, mut stored_at) = (own(block), block, me);
        let (mut form, mut kind): (Form, usize) = (self.out_of_line, NOBODY);
        if next == own(target_block) {
            if self.sides[target].waiter == NOBODY && (is_resume || self.is_draining) {
                (prev, tag, stored_at) = (parent(target_block), target_block, target);
                self.sides[target].waiter = me;
                if is_inline {
                    (form, kind) = (inline_resume, 0);
                }
            } else if is_inline {
                (form, kind) = if random & 8 == 0 {
                    (inline_switch as Form, 2)
                } else {
                    (inline_switch_among_locals as Form, 3)
                };
            }
        } else {
            self.sides[at].waiter = NOBODY;
            if at == me && is_inline {
                (form, kind) = (inline_suspend, 1);
            }
        }
        if kind != NOBODY {
            self.inline[kind] += 1;
        }
        self.made += 1;
        self.sides[target].check.tag = tag;
        let payload = &raw mut self.sides[target].check;
        let this = &mut self.sides[me];
        this.stored_in = prev;
        this.stored_at = stored_at;
        this.check.function = form;
        this.check.tag_mask = if kind == 1 { 0 } else { u64::MAX };
        Plan {
            payload,
            tag,
            prev,
            next,
            check: &raw mut this.check,
            random,
        }
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

    /// Decides how number 0 lets the fiber `side` come to its end: by a resume, wherever it waits.
    pub(super) fn plan_to_drain(&mut self, side: usize) -> Plan {
        self.is_draining = true;
        let waiter = self.sides[side].waiter;
        if waiter != NOBODY {
            // The place is needed. A context can be moved while it waits.
            let from = parent(&raw mut self.sides[side].block);
            let to = own(&raw mut self.sides[waiter].block);
            // SAFETY: Both are contexts in blocks of this world; the second is free, since its side waits in the first.
            unsafe { to.copy_from_nonoverlapping(from, 1) };
            self.sides[waiter].stored_in = to;
            self.sides[waiter].stored_at = waiter;
            self.sides[side].waiter = NOBODY;
        }
        let block = &raw mut self.sides[side].block;
        if self.sides[side].stored_in != own(block) {
            let from = self.sides[side].stored_in;
            // SAFETY: As above: its own context is free, since it waits elsewhere.
            unsafe { own(block).copy_from_nonoverlapping(from, 1) };
            let at = self.sides[side].stored_at;
            self.sides[at].waiter = NOBODY;
            self.sides[side].stored_in = own(block);
            self.sides[side].stored_at = side;
        }
        let random = self.next_random();
        self.plan_for(0, side, random)
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
