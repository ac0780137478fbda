//! A line of waiting fibers, first come, first served. Its nodes lie on the stacks of the waiting
//! fibers.
//!
//! ```text
//!   ALONE ──pushed──► IN_LINE ──taken out, with the line locked──► TAKEN ──woken, with it unlocked──► SERVED
//!     └─────────────── taken from the primitive's own word, and woken ──────────────────────────────────┘
//! ```
//!
//! The code that took a node out still uses the node until it is SERVED. Setting SERVED is the last
//! access to it. A waiter that gets nothing because the primitive was closed is DISMISSED instead.
//!
//! - **L1**: a line is accessed only inside its [`Locked`](super::locked::Locked).
//! - **L2**: a waiter stays in place until it has left the line or is served: [`Waiter::wait`] does
//!   not return before.
//! - **L3**: the note of a waiter is initialized, except in a semaphore, which does not look at it.

mod waiter;

pub(super) use waiter::Waiter;

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::Ordering;

const ALONE: u8 = 0;
const IN_LINE: u8 = 1;
const TAKEN: u8 = 2;
const SERVED: u8 = 3;
const DISMISSED: u8 = 4;

/// A line; see the [module](self).
pub(super) struct Line {
    first: Cell<*const Waiter>,
    last: Cell<*const Waiter>,
}

// SAFETY: L1, and what is done to the fibers is waking them, which any core may do.
unsafe impl Send for Line {}

/// Waiters that were taken out, and that must be woken once the line is unlocked.
#[must_use = "the waiters would never wake"]
pub(super) struct Served {
    first: *const Waiter,
    last: *const Waiter,
}

impl Line {
    pub(super) const fn new() -> Self {
        Self {
            first: Cell::new(ptr::null()),
            last: Cell::new(ptr::null()),
        }
    }

    #[inline(always)]
    pub(super) const fn is_empty(&self) -> bool {
        self.first.get().is_null()
    }

    /// Returns the fiber that has waited longest.
    #[inline(always)]
    pub(super) const fn first(&self) -> Option<&Waiter> {
        // SAFETY: L2.
        unsafe { self.first.get().as_ref() }
    }

    /// Returns all waiters, in the order of their arrival.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiter> {
        // SAFETY: L2.
        core::iter::successors(self.first(), |waiter| unsafe { waiter.next().as_ref() })
    }

    /// Adds a waiter at the end. It may have been in a line before.
    ///
    /// # Safety
    ///
    /// The waiter must be in no line, and **L2** must hold for it.
    #[inline(always)]
    pub(super) unsafe fn push(&self, waiter: *const Waiter) {
        // SAFETY: the caller's promise.
        let node = unsafe { &*waiter };
        node.stage.store(IN_LINE, Ordering::Relaxed);
        let last = self.last.replace(waiter);
        node.set_next(ptr::null());
        node.set_prev(last);
        // SAFETY: L2.
        match unsafe { last.as_ref() } {
            Some(last) => last.set_next(waiter),
            None => self.first.set(waiter),
        }
    }

    /// Adds a waiter behind the last one for which `is_behind` returns true, or as the first.
    ///
    /// # Safety
    ///
    /// The requirements of [`push`](Self::push) apply.
    pub(super) unsafe fn insert_behind(
        &self,
        waiter: &Waiter,
        is_behind: impl Fn(&Waiter) -> bool,
    ) {
        // SAFETY: L2.
        let last = unsafe { self.last.get().as_ref() };
        // SAFETY: L2.
        let from_last = core::iter::successors(last, |other| unsafe { other.prev().as_ref() });
        let Some(next) = from_last.take_while(|other| !is_behind(other)).last() else {
            // SAFETY: the caller's promise.
            return unsafe { self.push(waiter) };
        };
        let prev = next.prev();
        waiter.stage.store(IN_LINE, Ordering::Relaxed);
        waiter.set_prev(prev);
        waiter.set_next(next);
        next.set_prev(waiter);
        // SAFETY: L2.
        match unsafe { prev.as_ref() } {
            Some(prev) => prev.set_next(waiter),
            None => self.first.set(waiter),
        }
    }

    /// Takes a waiter out of this line without serving it.
    #[inline]
    pub(super) fn remove(&self, waiter: &Waiter) {
        let (prev, next) = (waiter.prev(), waiter.next());
        // SAFETY: L2.
        match unsafe { prev.as_ref() } {
            Some(prev) => prev.set_next(next),
            None => self.first.set(next),
        }
        // SAFETY: L2.
        match unsafe { next.as_ref() } {
            Some(next) => next.set_prev(prev),
            None => self.last.set(prev),
        }
    }

    /// Takes the first waiter out, and adds it to those that are to be woken.
    #[inline(always)]
    pub(super) fn serve_first(&self, served: &mut Served) -> Option<&Waiter> {
        let first = self.first()?;
        self.serve(first, served);
        Some(first)
    }

    /// Takes all waiters out, and adds them to those that are to be woken. Returns their number.
    pub(super) fn serve_all(&self, served: &mut Served) -> usize {
        core::iter::from_fn(|| self.serve_first(served).map(drop)).count()
    }

    /// Takes the first waiter out. The caller must wake it with [`Waiter::wake`]. Used where only
    /// one waiter is taken out.
    #[inline(always)]
    pub(super) fn pop(&self) -> Option<*const Waiter> {
        let first = self.first()?;
        let next = first.next();
        first.stage.store(TAKEN, Ordering::Relaxed);
        self.first.set(next);
        // SAFETY: L2.
        match unsafe { next.as_ref() } {
            Some(next) => next.set_prev(ptr::null()),
            None => self.last.set(ptr::null()),
        }
        Some(first)
    }

    /// Takes a waiter out of this line, and adds it to those that are to be woken.
    #[inline(always)]
    pub(super) fn serve(&self, waiter: &Waiter, served: &mut Served) {
        self.remove(waiter);
        waiter.stage.store(TAKEN, Ordering::Relaxed);
        waiter.set_next(ptr::null());
        // SAFETY: what was taken out stays in place until it is served.
        match unsafe { served.last.as_ref() } {
            Some(last) => last.set_next(waiter),
            None => served.first = waiter,
        }
        served.last = waiter;
    }
}

impl Served {
    /// Returns an empty set.
    pub(super) const fn nobody() -> Self {
        Self {
            first: ptr::null(),
            last: ptr::null(),
        }
    }

    /// Wakes the waiters, in the order in which they were taken out. The caller must hold no lock.
    #[inline(always)]
    pub(super) fn wake(self) {
        self.end(SERVED);
    }

    /// Behaves like [`wake`](Self::wake), for waiters that get nothing.
    pub(super) fn dismiss(self) {
        self.end(DISMISSED);
    }

    #[inline(always)]
    fn end(self, stage: u8) {
        let mut waiter = self.first;
        // SAFETY: what was taken out stays in place until it is served.
        while let Some(node) = unsafe { waiter.as_ref() } {
            waiter = node.next();
            // SAFETY: it was taken out, and the line is unlocked.
            unsafe { Waiter::end(node, stage) };
        }
    }
}
