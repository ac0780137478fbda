//! How the tree of a sleep queue is kept low: the rules for ranks (**Q2**) are restored after each
//! change.

use super::tree::{Member, Place, Tree};

impl Tree {
    /// Restores **Q2** after a node without children was added.
    ///
    /// The new node may be as high as its parent. The parent then becomes higher, and may be as high
    /// as its own parent, and so on. Where its other child is too low for that, the tree is rotated,
    /// which ends it.
    pub(super) fn balance_after_insertion(&self, new: Member<'_>) {
        let mut at = new;
        while let Some((parent, side)) = at.place()
            && parent.rank() == at.rank()
        {
            if parent.rank() - Member::rank_of(parent.child(side.other())) == 1 {
                parent.change_rank(1);
                at = parent;
                continue;
            }
            parent.change_rank(-1);
            match at.child(side.other()) {
                Some(inner) if at.rank() - inner.rank() == 1 => {
                    at.change_rank(-1);
                    inner.change_rank(1);
                    self.rotate_up(inner);
                    self.rotate_up(inner);
                }
                _ => self.rotate_up(at),
            }
            return;
        }
    }

    /// Restores **Q2** after what is at this place has become lower by one.
    ///
    /// It may be lower by 3 than its parent. The parent then becomes lower, and may be lower by 3 than
    /// its own parent, and so on. Where its other child is too high for that, the tree is rotated,
    /// which ends it.
    pub(super) fn balance_after_removal(&self, gap: Place<'_>) {
        let mut place = gap;
        if let Some((parent, _)) = place
            && parent.rank() == 2
            && parent.is_leaf()
        {
            parent.change_rank(-1);
            place = parent.place();
        }
        while let Some((parent, side)) = place
            && parent.rank() - Member::rank_of(parent.child(side)) == 3
            && let Some(sibling) = parent.child(side.other())
        {
            if parent.rank() - sibling.rank() == 1 {
                let (inner, outer) = (sibling.child(side), sibling.child(side.other()));
                if sibling.rank() - Member::rank_of(outer) == 1 {
                    self.rotate_up(sibling);
                    sibling.change_rank(1);
                    parent.change_rank(if parent.is_leaf() { -2 } else { -1 });
                    return;
                }
                if let Some(inner) = inner
                    && sibling.rank() - inner.rank() == 1
                {
                    self.rotate_up(inner);
                    self.rotate_up(inner);
                    inner.change_rank(2);
                    sibling.change_rank(-1);
                    parent.change_rank(-2);
                    return;
                }
                sibling.change_rank(-1);
            }
            parent.change_rank(-1);
            place = parent.place();
        }
    }
}
