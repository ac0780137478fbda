//! The tree of a sleep queue: its nodes, and how one is added and taken out.

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

    pub(super) fn node(self) -> &'a Node {
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

    pub(super) fn is_leaf(self) -> bool {
        let children = &self.node().children;
        children.iter().all(|child| child.get().is_null())
    }

    /// Returns the rank of a node, or of a missing one.
    pub(super) fn rank_of(member: Option<Self>) -> u8 {
        member.map_or(0, Self::rank)
    }

    pub(super) fn rank(self) -> u8 {
        self.node().rank.get()
    }

    /// Makes the rank higher by `change`, or lower if that is negative.
    pub(super) fn change_rank(self, change: i8) {
        let rank = &self.node().rank;
        rank.set(rank.get().wrapping_add_signed(change));
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
        self.balance_after_insertion(new);
    }

    /// Takes a node out.
    pub(super) fn take_out(&self, old: Member<'_>) {
        for side in [Side::Earlier, Side::Later] {
            let end = self.end_cell(side);
            if ptr::eq(end.get(), old.0) {
                // It has no child on this side. By Q2, its rank is 2 at most, so a child on the other
                // side has no children.
                let neighbour = old.child(side.other()).or_else(|| old.parent());
                end.set(pointer_to(neighbour));
            }
        }
        let mut gap = old.place();
        match (old.child(Side::Earlier), old.child(Side::Later)) {
            (Some(earlier), Some(mut next)) => {
                // The next one, which has no earlier child, takes its place.
                while let Some(earlier) = next.child(Side::Earlier) {
                    next = earlier;
                }
                let place = gap;
                gap = next.place();
                if gap.is_some_and(|(parent, _)| ptr::eq(parent.0, old.0)) {
                    gap = Some((next, Side::Later));
                } else {
                    self.put(next.child(Side::Later), gap);
                    self.put(old.child(Side::Later), Some((next, Side::Later)));
                }
                self.put(Some(earlier), Some((next, Side::Earlier)));
                self.put(Some(next), place);
                next.node().rank.set(old.rank());
            }
            (child, None) | (None, child) => self.put(child, gap),
        }
        self.balance_after_removal(gap);
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
    pub(super) fn rotate_up(&self, member: Member<'_>) {
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
