//! The sleep queue: who is to be woken when, the earliest first, equal deadlines in the order of arrival.
//!
//! A pairing heap whose nodes lie on the sleepers' own stacks. Looking at the earliest and adding one take constant time,
//! removing one logarithmic time on average, and a switch never looks at it.
//! (Fredman, Sedgewick, Sleator, Tarjan: "The pairing heap", Algorithmica 1, 1986.)

use super::wait::Wait;
use crate::platform::{NEVER, Nanoseconds};
use core::cell::Cell;
use core::ptr;

/// See the [module](self). Only the owner of the run loop touches it.
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

    /// When the earliest is to be woken, [`NEVER`] if there is none.
    pub(crate) fn next_deadline(&self) -> Nanoseconds {
        // SAFETY: nodes in the heap are alive, by `insert`'s promise.
        unsafe { self.root.get().as_ref() }.map_or(NEVER, |wait| wait.deadline)
    }

    /// Adds a sleeper.
    ///
    /// # Safety
    ///
    /// `wait` is not in the heap, and stays in place until it was removed.
    pub(crate) unsafe fn insert(&self, wait: *const Wait) {
        // SAFETY: the caller vouches for it.
        let node = unsafe { &*wait };
        self.arrivals.set(self.arrivals.get() + 1);
        node.order.set(self.arrivals.get());
        node.is_sleeping.set(true);
        node.child.set(ptr::null());
        node.sibling.set(ptr::null());
        node.back.set(ptr::null());
        // SAFETY: both are roots of heaps whose nodes are alive.
        self.root.set(unsafe { meld(self.root.get(), wait) });
    }

    /// Takes the earliest out if its time has come.
    pub(crate) fn pop_due(&self, now: Nanoseconds) -> Option<*const Wait> {
        if self.next_deadline() > now || self.root.get().is_null() {
            return None;
        }
        let first = self.root.get();
        // SAFETY: it is in the heap.
        unsafe { self.remove(first) };
        Some(first)
    }

    /// Takes a sleeper out.
    ///
    /// # Safety
    ///
    /// `wait` is in this heap.
    pub(crate) unsafe fn remove(&self, wait: *const Wait) {
        // SAFETY: the caller's promise; nodes in the heap are alive.
        let node = unsafe { &*wait };
        node.is_sleeping.set(false);
        // SAFETY: the children of a node are heaps of living nodes.
        let children = unsafe { meld_pairs(node.child.get()) };
        if ptr::eq(self.root.get(), wait) {
            self.root.set(children);
            return;
        }
        // SAFETY: a node that is not the root has one in front of it, alive.
        let back = unsafe { &*node.back.get() };
        if ptr::eq(back.child.get(), wait) {
            back.child.set(node.sibling.get());
        } else {
            back.sibling.set(node.sibling.get());
        }
        // SAFETY: nodes in the heap are alive.
        if let Some(sibling) = unsafe { node.sibling.get().as_ref() } {
            sibling.back.set(node.back.get());
        }
        // SAFETY: both are roots of heaps whose nodes are alive.
        self.root.set(unsafe { meld(self.root.get(), children) });
    }
}

/// Joins two heaps and returns the new root.
///
/// # Safety
///
/// Each is null or the root of a heap of living nodes, with no sibling.
unsafe fn meld(a: *const Wait, b: *const Wait) -> *const Wait {
    // SAFETY: the caller's promise.
    let (Some(first), Some(second)) = (unsafe { a.as_ref() }, unsafe { b.as_ref() }) else {
        return if a.is_null() { b } else { a };
    };
    let (winner, loser) =
        if (first.deadline, first.order.get()) <= (second.deadline, second.order.get()) {
            (first, second)
        } else {
            (second, first)
        };
    loser.sibling.set(winner.child.get());
    // SAFETY: children are alive.
    if let Some(child) = unsafe { winner.child.get().as_ref() } {
        child.back.set(loser);
    }
    loser.back.set(winner);
    winner.child.set(loser);
    winner
}

/// Joins a list of siblings to one heap: pairs from left to right, then all from right to left.
///
/// # Safety
///
/// `list` is null or the first of siblings that are roots of heaps of living nodes.
unsafe fn meld_pairs(list: *const Wait) -> *const Wait {
    let mut rest = list;
    let mut pairs: *const Wait = ptr::null();
    // SAFETY: siblings are alive.
    while let Some(first) = unsafe { rest.as_ref() } {
        let second = first.sibling.get();
        // SAFETY: as above.
        rest = unsafe { second.as_ref() }
            .map_or(ptr::null(), |second| second.sibling.replace(ptr::null()));
        first.sibling.set(ptr::null());
        // SAFETY: both are now roots without siblings.
        let pair = unsafe { meld(first, second) };
        // SAFETY: the result of melding living nodes is alive.
        unsafe { (*pair).sibling.set(pairs) };
        pairs = pair;
    }
    let mut root: *const Wait = ptr::null();
    // SAFETY: as above.
    while let Some(pair) = unsafe { pairs.as_ref() } {
        pairs = pair.sibling.replace(ptr::null());
        // SAFETY: both are roots without siblings.
        root = unsafe { meld(root, pair) };
    }
    // SAFETY: alive if there is one.
    if let Some(root) = unsafe { root.as_ref() } {
        root.back.set(ptr::null());
    }
    root
}
