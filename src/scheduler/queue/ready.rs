//! The ready queue of a run loop: a ring of fibers for each priority, and a bit map of the rings
//! that are not empty.
//!
//! ```text
//!   rings[p] ─► last ─► first ─► second ─► … ─► last   the running fiber is the first of its ring
//! ```
//!
//! The running fiber stays in its ring, so a yield among fibers of equal priority only moves
//! `rings[p]` one step: the first fiber becomes the last, and no link is written. Adding a fiber,
//! and removing the running one, take the same few instructions for any number of ready fibers.
//! Only the owner of the run loop accesses the queue, with interrupts on and outside of interrupt
//! handlers.

#[cfg(feature = "smp")]
mod shared;

use crate::scheduler::lock_free::inbox::Node as _;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::priority::Priority;
use core::cell::Cell;
use core::num::NonZeroUsize;
use core::ptr;

/// The ready fibers of one level: a pointer to the last of them, or null.
pub(crate) struct Ring(Cell<*const Header>);

impl Ring {
    /// Makes the first fiber of the ring the last.
    ///
    /// # Safety
    ///
    /// `fiber` must be the first of this ring.
    #[inline(always)]
    pub(crate) unsafe fn rotate(&self, fiber: *const Header) {
        self.0.set(fiber);
    }

    /// Adds a fiber as the last of this ring.
    ///
    /// # Safety
    ///
    /// The ring must not be empty. The fiber must be alive, of the level of this ring, in no ring
    /// and in no inbox.
    #[inline(always)]
    pub(crate) unsafe fn append(&self, fiber: *const Header) {
        // SAFETY: the ring is not empty, and fibers in a ring are alive.
        let last_link = unsafe { (*self.0.get()).link() };
        // SAFETY: the caller vouches for the fiber.
        unsafe { (*fiber).link() }.set(last_link.get());
        last_link.set(fiber);
        self.0.set(fiber);
    }

    /// Takes the first fiber, whose successor is `second`, out of the ring.
    ///
    /// # Safety
    ///
    /// The ring must have at least two fibers.
    #[inline(always)]
    pub(crate) unsafe fn cut_first(&self, second: *const Header) {
        // SAFETY: fibers in a ring are alive.
        unsafe { (*self.0.get()).link() }.set(second);
    }
}

/// The ready queue; see the [module](self).
#[repr(C)]
pub(crate) struct Ready {
    pub(crate) rings: [Ring; Priority::COUNT],
    /// A bit for each ring that is not empty.
    pub(crate) levels: Cell<usize>,
    /// The number of fibers in all rings.
    #[cfg(feature = "smp")]
    count: Cell<usize>,
}

impl Ready {
    pub(crate) const fn new() -> Self {
        Self {
            levels: Cell::new(0),
            rings: [const { Ring(Cell::new(ptr::null())) }; Priority::COUNT],
            #[cfg(feature = "smp")]
            count: Cell::new(0),
        }
    }

    /// Records that a fiber comes into a ring.
    #[cfg(feature = "smp")]
    #[inline(always)]
    pub(crate) fn one_more(&self) {
        self.count.set(self.count.get().wrapping_add(1));
    }

    /// Records that a fiber has left its ring. Functions of the queue do so themselves; whoever calls
    /// [`Ring::cut_first`] calls this too.
    #[cfg(feature = "smp")]
    #[inline(always)]
    pub(crate) fn one_less(&self) {
        self.count.set(self.count.get().wrapping_sub(1));
    }

    /// One loop gives none away, so nobody asks for the number.
    #[cfg(not(feature = "smp"))]
    #[inline(always)]
    pub(crate) const fn one_more(&self) {}

    /// See [`one_more`](Self::one_more).
    #[cfg(not(feature = "smp"))]
    #[inline(always)]
    pub(crate) const fn one_less(&self) {}

    /// Returns whether no fiber is ready.
    #[inline(always)]
    pub(crate) const fn is_empty(&self) -> bool {
        self.levels.get() == 0
    }

    /// Returns the highest level that has a fiber.
    ///
    /// # Safety
    ///
    /// The queue must not be empty.
    #[inline(always)]
    pub(crate) const unsafe fn highest(&self) -> usize {
        // SAFETY: a bit is set for each level that has a fiber. (Said so, it is one instruction,
        // `bsr`.)
        let levels = unsafe { NonZeroUsize::new_unchecked(self.levels.get()) };
        levels.ilog2() as usize
    }

    /// Returns the fiber that is to run next.
    ///
    /// # Safety
    ///
    /// The queue must not be empty.
    #[inline(always)]
    pub(crate) unsafe fn first(&self) -> *const Header {
        // SAFETY: the caller's promise.
        let last = self.tail(unsafe { self.highest() }).get();
        // SAFETY: a level whose bit is set has a tail, and fibers in a ring are alive.
        unsafe { (*last).next() }
    }

    /// Returns the ring of a level.
    #[inline(always)]
    pub(crate) fn ring(&self, level: usize) -> &Ring {
        // SAFETY: levels are those of priorities, and there is a ring for each.
        unsafe { self.rings.get_unchecked(level) }
    }

    #[inline(always)]
    fn tail(&self, level: usize) -> &Cell<*const Header> {
        &self.ring(level).0
    }

    /// Makes the first fiber of its ring the last.
    ///
    /// # Safety
    ///
    /// `fiber` must be the first in the ring of its level.
    #[inline(always)]
    pub(crate) unsafe fn rotate(&self, fiber: *const Header) {
        // SAFETY: fibers in a ring are alive.
        let level = unsafe { (*fiber).level() };
        // SAFETY: the caller's promise.
        unsafe { self.ring(level).rotate(fiber) };
    }

    /// Adds a fiber as the last of its level, and returns the ring of the level.
    ///
    /// # Safety
    ///
    /// The fiber must be alive, in no ring and in no inbox.
    #[inline]
    pub(crate) unsafe fn push_back(&self, fiber: *const Header) -> &Ring {
        // SAFETY: the caller's promise.
        let ring = unsafe { self.push_front(fiber) };
        // SAFETY: it is the first of its ring.
        unsafe { ring.rotate(fiber) };
        ring
    }

    /// Adds a fiber as the first of its level, and returns the ring of the level.
    ///
    /// # Safety
    ///
    /// The requirements of [`push_back`](Self::push_back) apply.
    #[inline]
    pub(crate) unsafe fn push_front(&self, fiber: *const Header) -> &Ring {
        // SAFETY: the caller vouches for the fiber.
        let level = unsafe { (*fiber).level() };
        self.one_more();
        let ring = self.ring(level);
        let last = ring.0.get();
        if last.is_null() {
            // SAFETY: the caller's promise, and the ring is empty.
            return unsafe { self.begin_ring(fiber, level) };
        }
        // SAFETY: fibers in a ring are alive.
        let last_link = unsafe { (*last).link() };
        // SAFETY: the caller vouches for the fiber.
        unsafe { (*fiber).link() }.set(last_link.get());
        last_link.set(fiber);
        ring
    }

    /// Adds a fiber as the only one of its level, and returns the ring of the level.
    ///
    /// # Safety
    ///
    /// The requirements of [`push_back`](Self::push_back) apply. `level` must be the fiber's, and its
    /// ring must be empty.
    #[inline(always)]
    pub(crate) unsafe fn begin_ring(&self, fiber: *const Header, level: usize) -> &Ring {
        let ring = self.ring(level);
        debug_assert!(ring.0.get().is_null(), "nothing of this level is ready");
        // SAFETY: the caller vouches for the fiber.
        unsafe { (*fiber).link() }.set(fiber);
        ring.0.set(fiber);
        self.levels.set(self.levels.get() | 1 << level);
        ring
    }

    /// Takes the first fiber out of its ring.
    ///
    /// # Safety
    ///
    /// The fiber must be the first in the ring of its level.
    #[inline]
    pub(crate) unsafe fn remove_first(&self, fiber: *const Header) {
        // SAFETY: the caller vouches for the fiber.
        let header = unsafe { &*fiber };
        self.one_less();
        let last = self.tail(header.level()).get();
        if ptr::eq(last, fiber) {
            self.clear(header.level());
        } else {
            // SAFETY: fibers in a ring are alive.
            unsafe { (*last).link() }.set(header.next());
        }
    }

    /// Takes a fiber out of its ring, wherever it is in the ring. The function has to search for
    /// the fiber before it, so the cost grows with the ring.
    ///
    /// # Safety
    ///
    /// The fiber must be in the ring of its level.
    pub(crate) unsafe fn remove(&self, fiber: *const Header) {
        // SAFETY: the caller vouches for the fiber.
        let header = unsafe { &*fiber };
        self.one_less();
        let tail = self.tail(header.level());
        if ptr::eq(header.next(), fiber) {
            return self.clear(header.level());
        }
        let mut before = tail.get();
        // SAFETY: fibers in a ring are alive.
        let mut link = unsafe { (*before).link() };
        while !ptr::eq(link.get(), fiber) {
            before = link.get();
            // SAFETY: as above.
            link = unsafe { (*before).link() };
        }
        link.set(header.next());
        if ptr::eq(tail.get(), fiber) {
            tail.set(before);
        }
    }

    /// Returns the fiber behind this one in the ring of its level, or null if this one is the last.
    ///
    /// # Safety
    ///
    /// The fiber must be in the ring of its level.
    pub(crate) unsafe fn behind(&self, fiber: *const Header) -> *const Header {
        // SAFETY: the caller's promise.
        let header = unsafe { &*fiber };
        if ptr::eq(self.tail(header.level()).get(), fiber) {
            return ptr::null();
        }
        header.next()
    }

    /// Adds a fiber to the ring of its level, before `other`. Returns false if `other` is not in
    /// that ring.
    ///
    /// # Safety
    ///
    /// The requirements of [`push_back`](Self::push_back) apply.
    pub(crate) unsafe fn insert_before(&self, fiber: *const Header, other: *const Header) -> bool {
        // SAFETY: the caller vouches for the fiber.
        let header = unsafe { &*fiber };
        let last = self.tail(header.level()).get();
        let mut at = last;
        // SAFETY: fibers in a ring are alive.
        while let Some(before) = unsafe { at.as_ref() } {
            at = before.next();
            if ptr::eq(at, other) {
                self.one_more();
                header.link().set(other);
                before.link().set(fiber);
                return true;
            }
            if ptr::eq(at, last) {
                break;
            }
        }
        false
    }

    /// Returns whether a fiber is the first in the ring of its level.
    pub(crate) fn is_first(&self, fiber: *const Header) -> bool {
        // SAFETY: the fiber runs.
        let level = unsafe { (*fiber).level() };
        // SAFETY: fibers in a ring are alive.
        unsafe { self.tail(level).get().as_ref() }.is_some_and(|last| ptr::eq(last.next(), fiber))
    }

    /// Returns the number of fibers in the rings, or `None` if the rings are damaged or contain
    /// more than `most` fibers.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn count(&self, most: usize) -> Option<usize> {
        let mut count = 0;
        for level in 0..Priority::COUNT {
            let last = self.tail(level).get();
            if last.is_null() != (self.levels.get() & 1 << level == 0) {
                return None;
            }
            let mut at = last;
            // SAFETY: fibers in a ring are alive.
            while let Some(fiber) = unsafe { at.as_ref() } {
                count += 1;
                at = fiber.next();
                if count > most || at.is_null() {
                    return None;
                }
                if ptr::eq(at, last) {
                    break;
                }
            }
        }
        Some(count)
    }

    /// Records that a level has lost its last fiber.
    fn clear(&self, level: usize) {
        self.tail(level).set(ptr::null());
        self.levels.set(self.levels.get() & !(1 << level));
    }
}
