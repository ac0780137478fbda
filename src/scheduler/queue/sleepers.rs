//! The sleep queue: the fibers with a deadline, the earliest first. Equal deadlines are in the
//! order of arrival.
//!
//! The queue is a balanced binary search tree whose nodes lie on the stacks of the sleeping fibers.
//! It also knows the first and the last of them. The usual steps therefore take constant time: to
//! find the earliest, to remove it, and to add a fiber that sleeps longer or shorter than all
//! others. To add a fiber between others, the tree is searched. A switch never accesses the tree.
//!
//! ```text
//!              root
//!            ╱      ╲
//!         60          90           earlier ones to the left, later and equal ones to the right
//!        ╱  ╲        ╱  ╲
//!   first    70    80    last
//! ```
//!
//! No step may take long, because no other fiber runs meanwhile. The tree is a *weak AVL tree*
//! (Haeupler, Sen, Tarjan: "Rank-balanced trees", ACM Transactions on Algorithms 11, 2015). Each
//! node has a rank, and the rules for ranks keep a tree of *n* nodes at most 2 log₂(*n* + 1) nodes
//! high, in any order of insertions and removals. Both take a number of steps that is proportional
//! to the height at most. Rebalancing takes constant time on average, also if fibers are added and
//! removed in turn, as those are whose waits end before their deadlines.
//!
//! - A pairing heap takes fewer steps on average, but a single removal may go through all nodes.
//! - A leftist heap has the same bound. It needs more steps than this tree where deadlines ascend,
//!   which they do in most kernels, because each insertion follows a whole path.
//! - A treap is balanced by chance alone.
//! - A timer wheel needs memory for its slots, and moves all nodes of a slot in one step.
//!
//! # Invariants
//!
//! - **Q1**: every node in the tree is alive and stays in place, as [`insert`](Sleepers::insert)
//!   demands. The pointers in the tree are null, or point to nodes in the tree.
//! - **Q2**: the rank of a node is higher than that of each child by 1 or 2. A missing child has rank
//!   0, and a node without children has rank 1.

mod balance;
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
