//! The sleep queue: the fibers with a deadline, the earliest first. Equal deadlines are in the
//! order of arrival.
//!
//! The queue is a binary search tree whose nodes lie on the stacks of the sleeping fibers. A switch
//! never accesses it. The tree also knows its first and its last node, so the frequent steps take
//! constant time: to find the earliest fiber, and to add one that sleeps longer or shorter than all
//! others. Only a fiber that comes between others is searched a place.
//!
//! ```text
//!               9                    earlier deadlines to the left,
//!             ╱   ╲                  later and equal ones to the right
//!   first ─► 7     9                 (the order of arrival of the two 9 is from left to right)
//!                    ╲
//!                     12 ◄─ last
//! ```
//!
//! While a step is made, no other fiber runs. Therefore it is the longest step that counts: none goes
//! through more nodes than the tree has levels, and these are few. A tree into which *m* fibers were
//! added since it was empty has at most 1.45 log₂(*m*) + 1 levels: 25 for a hundred thousand fibers,
//! and 58 after a million million sleeps without a moment in which nobody slept.
//!
//! The other structures that were considered, and why they were not chosen:
//!
//! - A pairing heap adds a fiber in constant time, also between others. But to take one out may go
//!   through all of them, for instance the first time after deadlines have come in ascending order.
//! - A leftist heap has a bound as well. It is slower where deadlines ascend, as they do in most
//!   kernels, since each insertion then follows a whole path. To take one out follows two of them.
//! - Trees that are rebalanced after removals too have fewer levels in the worst case. But then each
//!   wait that ends before its deadline may rebalance the tree twice, and for nothing.
//! - A treap is balanced by chance alone, so it has no bound.
//! - A timer wheel needs memory for its slots, and moves all fibers of a slot in one step.

#[cfg(all(test, target_os = "linux"))]
mod tests;
mod tree;

use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::task::header::Header;
use crate::scheduler::task::wait::{Node, Sleep, Wait};
use tree::{Member, Place, Side, Tree};

/// The sleep queue; see the [module](self). Only the owner of the run loop accesses it.
pub(crate) struct Sleepers(Tree);

impl Sleepers {
    pub(crate) const fn new() -> Self {
        Self(Tree::new())
    }

    /// Returns the earliest deadline, or [`NEVER`] if there is none.
    pub(crate) fn next_deadline(&self) -> Nanoseconds {
        let first = self.0.end(Side::Earlier);
        first.map_or(NEVER, |first| first.node().deadline)
    }

    /// Adds a wait of `fiber`, which is to be woken at the deadline.
    ///
    /// # Safety
    ///
    /// `wait` must not be in the queue, and must stay in place until it has been removed.
    pub(crate) unsafe fn insert(
        &self,
        wait: *const Wait,
        fiber: *const Header,
        deadline: Nanoseconds,
    ) {
        // SAFETY: the caller vouches for it.
        let sleeper = unsafe { &*wait };
        sleeper.set_sleep(Sleep::Now);
        // SAFETY: it is not in the queue, so nobody refers to its node.
        unsafe { (*sleeper.node.get()).write(Node::new(fiber, deadline)) };
        // SAFETY: it has a node, and the caller's promise is that of Q1.
        if let Some(new) = unsafe { Member::new(wait) } {
            self.0.add(new, self.place_for(deadline));
        }
    }

    /// Returns the place of a new node. Equal deadlines are in the order of arrival, so it is later
    /// than those that are there.
    fn place_for(&self, deadline: Nanoseconds) -> Place<'_> {
        let side_of = |other: Member<'_>| {
            if deadline < other.node().deadline {
                Side::Earlier
            } else {
                Side::Later
            }
        };
        for outer in [Side::Later, Side::Earlier] {
            let end = self.0.end(outer)?;
            if side_of(end) == outer {
                return Some((end, outer));
            }
        }
        let mut place = None;
        let mut at = self.0.root();
        while let Some(other) = at {
            let side = side_of(other);
            place = Some((other, side));
            at = other.child(side);
        }
        place
    }

    /// Takes the earliest wait out if its deadline has passed, and returns its fiber.
    pub(crate) fn pop_due(&self, now: Nanoseconds) -> Option<*const Header> {
        let first = self.0.end(Side::Earlier)?;
        if first.node().deadline > now {
            return None;
        }
        self.take(first);
        Some(first.node().fiber)
    }

    /// Takes a wait out.
    ///
    /// # Safety
    ///
    /// `wait` must be in this queue.
    pub(crate) unsafe fn remove(&self, wait: *const Wait) {
        // SAFETY: the caller's promise.
        if let Some(old) = unsafe { Member::new(wait) } {
            self.take(old);
        }
    }

    fn take(&self, old: Member<'_>) {
        old.wait().set_sleep(Sleep::Over);
        self.0.take_out(old);
    }
}
