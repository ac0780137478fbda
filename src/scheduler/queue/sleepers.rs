//! The sleep queue: the fibers with a deadline, the earliest first. Equal deadlines are in the
//! order of arrival.
//!
//! The queue is a pairing heap whose nodes lie on the stacks of the sleeping fibers. Finding the
//! earliest and adding a fiber take constant time, removing one takes logarithmic time on average,
//! and a switch never accesses the heap. (Fredman, Sedgewick, Sleator, Tarjan: "The pairing heap",
//! Algorithmica 1, 1986.)

use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::task::header::Header;
use crate::scheduler::task::wait::{Node, Sleep, Wait};
use core::cell::Cell;
use core::ptr;

/// The sleep queue; see the [module](self). Only the owner of the run loop accesses it.
pub(crate) struct Sleepers {
    root: Cell<*const Wait>,
    arrivals: Cell<u64>,
}

impl Sleepers {
    pub(crate) const fn new() -> Self {
        Self {
            root: Cell::new(ptr::null()),
            arrivals: Cell::new(0),
        }
    }

    /// Returns the earliest deadline, or [`NEVER`] if there is none.
    pub(crate) fn next_deadline(&self) -> Nanoseconds {
        // SAFETY: nodes in the heap are alive, by `insert`'s promise.
        unsafe { node(self.root.get()) }.map_or(NEVER, |node| node.deadline)
    }

    /// Adds a wait of `fiber`, which is to be woken at the deadline.
    ///
    /// # Safety
    ///
    /// `wait` must not be in the heap, and must stay in place until it has been removed.
    pub(crate) unsafe fn insert(
        &self,
        wait: *const Wait,
        fiber: *const Header,
        deadline: Nanoseconds,
    ) {
        // SAFETY: the caller vouches for it.
        let sleeper = unsafe { &*wait };
        self.arrivals.set(self.arrivals.get() + 1);
        sleeper.set_sleep(Sleep::Now);
        let node = Node::new(fiber, deadline, self.arrivals.get());
        // SAFETY: it is not in the heap, so nobody refers to its node.
        unsafe { (*sleeper.node.get()).write(node) };
        // SAFETY: both are roots of heaps whose nodes are alive.
        self.root.set(unsafe { meld(self.root.get(), wait) });
    }

    /// Takes the earliest wait out if its deadline has passed, and returns its fiber.
    pub(crate) fn pop_due(&self, now: Nanoseconds) -> Option<*const Header> {
        let first = self.root.get();
        // SAFETY: nodes in the heap are alive.
        let node = unsafe { node(first) }.filter(|node| node.deadline <= now)?;
        // SAFETY: it is in the heap.
        unsafe { self.remove(first) };
        Some(node.fiber)
    }

    /// Takes a wait out.
    ///
    /// # Safety
    ///
    /// `wait` must be in this heap.
    pub(crate) unsafe fn remove(&self, wait: *const Wait) {
        // SAFETY: the caller's promise; nodes in the heap are alive.
        unsafe { (*wait).set_sleep(Sleep::Over) };
        // SAFETY: as above.
        let this = unsafe { node(wait) }.expect("it is in the heap");
        // SAFETY: the children of a node are heaps of living nodes.
        let children = unsafe { meld_pairs(this.child.get()) };
        if ptr::eq(self.root.get(), wait) {
            self.root.set(children);
            return;
        }
        // SAFETY: a node that is not the root has one in front of it, alive.
        let back = unsafe { node(this.back.get()) }.expect("it is not the root");
        if ptr::eq(back.child.get(), wait) {
            back.child.set(this.sibling.get());
        } else {
            back.sibling.set(this.sibling.get());
        }
        // SAFETY: nodes in the heap are alive.
        if let Some(sibling) = unsafe { node(this.sibling.get()) } {
            sibling.back.set(this.back.get());
        }
        // SAFETY: both are roots of heaps whose nodes are alive.
        self.root.set(unsafe { meld(self.root.get(), children) });
    }
}

/// Returns the node of a wait, if the pointer is not null.
///
/// # Safety
///
/// The pointer must be null, or the wait must be in the heap.
unsafe fn node<'a>(wait: *const Wait) -> Option<&'a Node> {
    // SAFETY: the caller's promise.
    let wait = unsafe { wait.as_ref() }?;
    // SAFETY: it is in the heap.
    Some(unsafe { Node::of(wait) })
}

/// Merges two heaps and returns the new root.
///
/// # Safety
///
/// Each pointer must be null, or the root of a heap of living nodes that has no sibling.
unsafe fn meld(a: *const Wait, b: *const Wait) -> *const Wait {
    // SAFETY: the caller's promise.
    let (Some(first), Some(second)) = (unsafe { node(a) }, unsafe { node(b) }) else {
        return if a.is_null() { b } else { a };
    };
    let is_first = (first.deadline, first.order) <= (second.deadline, second.order);
    let (winner, at, loser) = if is_first {
        (first, a, b)
    } else {
        (second, b, a)
    };
    let losing = if is_first { second } else { first };
    losing.sibling.set(winner.child.get());
    // SAFETY: children are alive.
    if let Some(child) = unsafe { node(winner.child.get()) } {
        child.back.set(loser);
    }
    losing.back.set(at);
    winner.child.set(loser);
    at
}

/// Merges a list of siblings into one heap: first in pairs from left to right, then all from right
/// to left.
///
/// # Safety
///
/// `list` must be null, or the first of siblings that are roots of heaps of living nodes.
unsafe fn meld_pairs(list: *const Wait) -> *const Wait {
    let mut rest = list;
    let mut pairs: *const Wait = ptr::null();
    // SAFETY: siblings are alive.
    while let Some(first) = unsafe { node(rest) } {
        let (left, right) = (rest, first.sibling.replace(ptr::null()));
        // SAFETY: as above.
        rest = unsafe { node(right) }
            .map_or(ptr::null(), |second| second.sibling.replace(ptr::null()));
        // SAFETY: both are now roots without siblings.
        let pair = unsafe { meld(left, right) };
        // SAFETY: the result of melding living nodes is alive.
        unsafe { node(pair) }
            .expect("one of the two")
            .sibling
            .set(pairs);
        pairs = pair;
    }
    let mut root: *const Wait = ptr::null();
    // SAFETY: as above.
    while let Some(pair) = unsafe { node(pairs) } {
        let (left, right) = (pairs, root);
        pairs = pair.sibling.replace(ptr::null());
        // SAFETY: both are roots without siblings.
        root = unsafe { meld(right, left) };
    }
    // SAFETY: alive if there is one.
    if let Some(root) = unsafe { node(root) } {
        root.back.set(ptr::null());
    }
    root
}
