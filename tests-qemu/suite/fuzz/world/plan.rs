//! Who goes on next, and by which form of the switch.
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

use kfiber::context::{Context, ControlBlock};

use super::{NOBODY, World};
use crate::checked::{
    Check, Form, inline_resume, inline_suspend, inline_switch, inline_switch_among_locals, own,
    parent,
};

/// What has to be done to go on in another side.
#[derive(Clone, Copy, Debug)]
pub(in crate::fuzz) struct Plan {
    pub(in crate::fuzz) payload: *mut Check,
    pub(in crate::fuzz) tag: *mut ControlBlock,
    pub(in crate::fuzz) prev: *mut Context,
    pub(in crate::fuzz) next: *mut Context,
    pub(in crate::fuzz) check: *mut Check,
    pub(in crate::fuzz) random: u64,
}

impl World {
    /// Decides where `me` goes on.
    #[inline]
    pub(in crate::fuzz) fn plan(&mut self, me: usize) -> Plan {
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

    /// Decides how number 0 lets the fiber `side` come to its end: by a resume, wherever it waits.
    pub(in crate::fuzz) fn plan_to_drain(&mut self, side: usize) -> Plan {
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
}
