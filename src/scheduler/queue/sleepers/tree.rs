//! The tree of a sleep queue: its nodes, and how one is added and taken out.
//!
//! It is a *relaxed AVL tree*: an AVL tree that is rebalanced after insertions only. (Sen, Tarjan,
//! Kim: "Deletion without rebalancing in binary search trees", ACM Transactions on Algorithms 12,
//! 2016.) Each node has a rank, and a missing node has rank 0. A node that is added has rank 1.
//!
//! - **Q1**: every node in the tree is alive and stays in place. The pointers in the tree are null,
//!   or point to nodes in the tree.
//! - **Q2**: the rank of a node is higher than that of each child. A tree into which *m* nodes were
//!   added since it was empty has no rank above 1.45 log₂(*m*) + 1, whatever was taken out.

use crate::scheduler::task::wait::{Node, Wait};
use core::cell::Cell;
use core::ptr;

/// The tree of a [sleep queue](super), which also knows its first and its last node.
pub(super) struct Tree {
    root: Cell<*const Wait>,
    first: Cell<*const Wait>,
    last: Cell<*const Wait>,
}

/// A side of a node: that of the earlier nodes, or that of the later ones.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Earlier = 0,
    Later = 1,
}

impl Side {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Earlier => Self::Later,
            Self::Later => Self::Earlier,
        }
    }
}

/// A place in the tree: a node, and a side of it. The root has none.
pub(super) type Place<'a> = Option<(Member<'a>, Side)>;

/// A wait that is in the tree.
#[derive(Clone, Copy)]
pub(super) struct Member<'a>(&'a Wait);

impl<'a> Member<'a> {
    /// # Safety
    ///
    /// The pointer must be null, or the wait must be in the tree.
    pub(super) unsafe fn new(wait: *const Wait) -> Option<Self> {
        #[cfg(all(test, target_os = "linux"))]
        super::tests::count_visit(wait);
        // SAFETY: Q1.
        unsafe { wait.as_ref() }.map(Self)
    }

    pub(super) const fn wait(self) -> &'a Wait {
        self.0
    }

    pub(super) const fn node(self) -> &'a Node {
        // SAFETY: it is in the tree.
        unsafe { Node::of(self.0) }
    }

    pub(super) fn child(self, side: Side) -> Option<Self> {
        // SAFETY: Q1.
        unsafe { Self::new(self.node().children[side as usize].get()) }
    }

    pub(super) fn parent(self) -> Option<Self> {
        // SAFETY: Q1.
        unsafe { Self::new(self.node().parent.get()) }
    }

    /// Returns its place in the tree.
    pub(super) fn place(self) -> Place<'a> {
        let parent = self.parent()?;
        let is_later = ptr::eq(parent.node().children[Side::Later as usize].get(), self.0);
        let side = if is_later { Side::Later } else { Side::Earlier };
        Some((parent, side))
    }

    /// Returns the node at the end of the path that leads to this side all the way.
    fn outermost(self, side: Side) -> Self {
        let mut at = self;
        while let Some(child) = at.child(side) {
            at = child;
        }
        at
    }

    /// Returns the rank of a node that may be missing.
    pub(super) fn rank_of(member: Option<Self>) -> u8 {
        member.map_or(0, Self::rank)
    }

    pub(super) const fn rank(self) -> u8 {
        self.node().rank.get()
    }

    fn set_rank(self, rank: u8) {
        self.node().rank.set(rank);
    }
}

impl Tree {
    pub(super) const fn new() -> Self {
        Self {
            root: Cell::new(ptr::null()),
            first: Cell::new(ptr::null()),
            last: Cell::new(ptr::null()),
        }
    }

    pub(super) fn root(&self) -> Option<Member<'_>> {
        // SAFETY: Q1.
        unsafe { Member::new(self.root.get()) }
    }

    /// Returns the earliest node, or the latest one.
    pub(super) fn end(&self, side: Side) -> Option<Member<'_>> {
        // SAFETY: Q1.
        unsafe { Member::new(self.end_cell(side).get()) }
    }

    const fn end_cell(&self, side: Side) -> &Cell<*const Wait> {
        match side {
            Side::Earlier => &self.first,
            Side::Later => &self.last,
        }
    }

    /// Adds a new node without children at the place of its deadline, where there is none.
    pub(super) fn add(&self, new: Member<'_>, place: Place<'_>) {
        self.put(Some(new), place);
        for side in [Side::Earlier, Side::Later] {
            let end = self.end_cell(side);
            if place.is_none_or(|(parent, at)| at == side && ptr::eq(end.get(), parent.0)) {
                end.set(new.0);
            }
        }
        self.balance_above(new);
    }

    /// Restores **Q2** after a node was added.
    ///
    /// Its rank may be that of its parent. The parent then gets a higher one, which may be that of its
    /// own parent, and so on. Where the other child of such a parent is lower by more than 1, the
    /// parent goes below its child instead, and that is all.
    fn balance_above(&self, new: Member<'_>) {
        let mut at = new;
        while let Some((parent, side)) = at.place()
            && parent.rank() == at.rank()
        {
            if parent.rank() - Member::rank_of(parent.child(side.other())) == 1 {
                parent.set_rank(parent.rank() + 1);
                at = parent;
                continue;
            }
            parent.set_rank(parent.rank() - 1);
            match at.child(side.other()) {
                Some(inner) if at.rank() - inner.rank() == 1 => {
                    inner.set_rank(at.rank());
                    at.set_rank(at.rank() - 1);
                    self.rotate_up(inner);
                    self.rotate_up(inner);
                }
                _ => self.rotate_up(at),
            }
            return;
        }
    }

    /// Takes a node out.
    pub(super) fn take_out(&self, old: Member<'_>) {
        for side in [Side::Earlier, Side::Later] {
            let end = self.end_cell(side);
            if ptr::eq(end.get(), old.0) {
                // It has no child on this side.
                let inner = old.child(side.other());
                let neighbour = inner.map(|inner| inner.outermost(side));
                end.set(pointer_to(neighbour.or_else(|| old.parent())));
            }
        }
        match (old.child(Side::Earlier), old.child(Side::Later)) {
            (Some(earlier), Some(later)) => {
                // The next one, which has no earlier child, takes its place and its rank.
                let next = later.outermost(Side::Earlier);
                if !ptr::eq(next.0, later.0) {
                    self.put(next.child(Side::Later), next.place());
                    self.put(Some(later), Some((next, Side::Later)));
                }
                self.put(Some(earlier), Some((next, Side::Earlier)));
                self.put(Some(next), old.place());
                next.set_rank(old.rank());
            }
            (child, None) | (None, child) => self.put(child, old.place()),
        }
    }

    /// Puts a node, with all below it, at a place, or leaves the place empty.
    fn put(&self, member: Option<Member<'_>>, place: Place<'_>) {
        let link = match place {
            Some((parent, side)) => &parent.node().children[side as usize],
            None => &self.root,
        };
        link.set(pointer_to(member));
        if let Some(member) = member {
            let parent = place.map(|(parent, _)| parent);
            member.node().parent.set(pointer_to(parent));
        }
    }

    /// Exchanges a node and its parent, which becomes its child. The order of all nodes remains.
    fn rotate_up(&self, member: Member<'_>) {
        let Some((parent, side)) = member.place() else {
            return;
        };
        let above = parent.place();
        self.put(member.child(side.other()), Some((parent, side)));
        self.put(Some(parent), Some((member, side.other())));
        self.put(Some(member), above);
    }
}

fn pointer_to(member: Option<Member<'_>>) -> *const Wait {
    member.map_or(ptr::null(), |member| ptr::from_ref(member.0))
}
