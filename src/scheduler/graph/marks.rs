//! Searches through the wait graph: which fibers can never continue, and which ways lead to a fiber.
//!
//! A search leaves a mark in the control block of each fiber. The owner of a loop marks its fibers.
//! With several cores only the core that has the right to report does, so two searches do not meet.

use super::needs::{Need, Waits, extra};
use crate::scheduler::task::header::Header;
use crate::scheduler::task::owner::{OwnerWord, Readers};
use core::ptr;

/// The mark of a fiber that is not marked.
const FREE: u16 = 0;
/// The mark of a stuck fiber. Distances in [`Waits::mark_ways_to`] begin with this value too.
const STUCK: u16 = 1;

impl Waits<'_> {
    /// Returns one reader that explains why a wait does not end, and the number of other readers.
    /// It is the fiber that is about to wait, or one on the way that was marked, or else any
    /// reader.
    pub(crate) fn one_of(self, readers: Readers) -> Option<(OwnerWord, usize)> {
        let distance = |reader: &OwnerWord| {
            let is_ours = self.fibers().any(|fiber| ptr::eq(fiber, reader.fiber()));
            match is_ours.then(|| extra(reader.fiber()).mark.get()) {
                Some(_) if self.is_about_to_wait(reader.fiber()) => FREE,
                Some(mark) if mark != FREE => mark,
                _ => u16::MAX,
            }
        };
        let one = readers.known().min_by_key(distance)?;
        Some((one, readers.count() - 1))
    }

    /// Marks the fibers that are stuck.
    #[cold]
    #[inline(never)]
    pub(crate) fn mark_stuck(self) {
        for fiber in self.fibers() {
            let needs_a_fiber = self.wait_of(fiber).is_some_and(|wait| {
                matches!(
                    self.need_of(fiber, wait),
                    Need::Fiber(_) | Need::Ended(_) | Need::All(_)
                )
            });
            set_mark(fiber, if needs_a_fiber { STUCK } else { FREE });
        }
        // A fiber that needs only free fibers is free too. This is repeated until nothing changes
        // any more.
        let mut has_changed = true;
        while has_changed {
            has_changed = false;
            for fiber in self.fibers().filter(|fiber| is_marked(*fiber)) {
                let is_stuck =
                    self.wait_of(fiber)
                        .is_some_and(|wait| match self.need_of(fiber, wait) {
                            Need::Fiber(next) => is_marked(next),
                            Need::All(all) => self.in_all(all).any(is_marked),
                            _ => true,
                        });
                if !is_stuck {
                    set_mark(fiber, FREE);
                    has_changed = true;
                }
            }
        }
    }

    /// Marks each fiber whose edges lead to `target` with the length of the way. `target` itself is
    /// marked too if it is part of a cycle.
    #[cold]
    #[inline(never)]
    pub(crate) fn mark_ways_to(self, target: *const Header) {
        for fiber in self.fibers() {
            set_mark(fiber, FREE);
        }
        for distance in STUCK..u16::MAX {
            let is_next = |next: *const Header| {
                if distance == STUCK {
                    ptr::eq(next, target)
                } else {
                    extra(next).mark.get() == distance - 1
                }
            };
            let mut has_changed = false;
            for fiber in self.fibers().filter(|fiber| !is_marked(*fiber)) {
                let leads_there =
                    self.wait_of(fiber)
                        .is_some_and(|wait| match self.need_of(fiber, wait) {
                            Need::Fiber(next) => is_next(next),
                            Need::All(all) => self.in_all(all).any(is_next),
                            _ => false,
                        });
                if leads_there {
                    set_mark(fiber, distance);
                    has_changed = true;
                }
            }
            if !has_changed {
                return;
            }
        }
    }

    /// Returns the fiber that the edge of a fiber leads to. If it has several edges, this is
    /// `target`, or the marked fiber that is nearest to `target`.
    pub(crate) fn next_towards(
        self,
        target: *const Header,
        fiber: *const Header,
    ) -> Option<*const Header> {
        let distance = |fiber: &*const Header| {
            if ptr::eq(*fiber, target) {
                0
            } else {
                extra(*fiber).mark.get()
            }
        };
        match self.need_of(fiber, self.wait_of(fiber)?) {
            Need::Fiber(next) => Some(next),
            Need::All(all) => self
                .in_all(all)
                .filter(|fiber| ptr::eq(*fiber, target) || is_marked(*fiber))
                .min_by_key(distance),
            _ => None,
        }
    }
}

/// Returns whether the last search marked a fiber.
pub(crate) const fn is_marked(fiber: *const Header) -> bool {
    extra(fiber).mark.get() != FREE
}

fn set_mark(fiber: *const Header, mark: u16) {
    extra(fiber).mark.set(mark);
}
