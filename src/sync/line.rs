//! A line of fibers that wait, first come, first served. Its nodes lie on the waiters' own stacks.
//!
//! ```text
//!   IN_LINE ──taken out, with the line locked──► TAKEN ──woken, with the line unlocked──► SERVED
//! ```
//!
//! A node that was taken out is still used until its fiber was woken; SERVED is the last that is done to it.
//!
//! - **L1**: a line is touched only in its [`Locked`].
//! - **L2**: a waiter stays where it is until it left the line or is served: [`Waiter::wait`] returns no sooner.

use super::locked::Locked;
use crate::platform::Nanoseconds;
use crate::scheduler::header::Header;
use crate::scheduler::run_loop::wake;
use crate::scheduler::{WaitError, WaitReason, waiting};
use core::cell::Cell;
use core::hint::spin_loop;
use core::ptr;
use core::sync::atomic::{AtomicU8, Ordering};

const IN_LINE: u8 = 0;
const TAKEN: u8 = 1;
const SERVED: u8 = 2;

/// One fiber's place in a line.
pub(crate) struct Waiter {
    pub(crate) fiber: *const Header,
    /// What the primitive wants to know of the waiter, or tells it. Touched as the line is (**L1**), or by the waiter itself
    /// when it is in none.
    pub(crate) note: Cell<*mut ()>,
    next: Cell<*const Self>,
    prev: Cell<*const Self>,
    stage: AtomicU8,
}

/// See the [module](self).
pub(crate) struct Line {
    first: Cell<*const Waiter>,
    last: Cell<*const Waiter>,
}

// SAFETY: L1, and what is done to the fibers is waking them, which any core may do.
unsafe impl Send for Line {}

/// Waiters that were taken out and are to be woken once the line is unlocked.
#[must_use = "the waiters would never wake"]
pub(crate) struct Served {
    first: *const Waiter,
    last: *const Waiter,
}

impl Line {
    pub(crate) const fn new() -> Self {
        Self {
            first: Cell::new(ptr::null()),
            last: Cell::new(ptr::null()),
        }
    }

    #[inline(always)]
    pub(crate) const fn is_empty(&self) -> bool {
        self.first.get().is_null()
    }

    /// The one that has waited longest.
    #[inline(always)]
    pub(crate) const fn first(&self) -> Option<&Waiter> {
        // SAFETY: L2.
        unsafe { self.first.get().as_ref() }
    }

    /// All, the first first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Waiter> {
        // SAFETY: L2.
        core::iter::successors(self.first(), |waiter| unsafe { waiter.next.get().as_ref() })
    }

    /// Adds a waiter at the end. It may have been in a line before.
    ///
    /// # Safety
    ///
    /// It is in no line, and **L2**.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, waiter: *const Waiter) {
        // SAFETY: the caller's promise.
        let node = unsafe { &*waiter };
        node.stage.store(IN_LINE, Ordering::Relaxed);
        let last = self.last.replace(waiter);
        node.next.set(ptr::null());
        node.prev.set(last);
        // SAFETY: L2.
        match unsafe { last.as_ref() } {
            Some(last) => last.next.set(waiter),
            None => self.first.set(waiter),
        }
    }

    /// Takes a waiter out that is in this line; it leaves unserved.
    #[inline]
    pub(crate) fn remove(&self, waiter: &Waiter) {
        let (prev, next) = (waiter.prev.get(), waiter.next.get());
        // SAFETY: L2.
        match unsafe { prev.as_ref() } {
            Some(prev) => prev.next.set(next),
            None => self.first.set(next),
        }
        // SAFETY: L2.
        match unsafe { next.as_ref() } {
            Some(next) => next.prev.set(prev),
            None => self.last.set(prev),
        }
    }

    /// Takes the first out, to be woken.
    #[inline(always)]
    pub(crate) fn serve_first(&self, served: &mut Served) -> Option<&Waiter> {
        let first = self.first()?;
        self.serve(first, served);
        Some(first)
    }

    /// Takes the first out, to be woken by [`Waiter::wake`]: for lines of which only one is taken.
    #[inline(always)]
    pub(crate) fn pop(&self) -> Option<*const Waiter> {
        let first = self.first()?;
        let next = first.next.get();
        first.stage.store(TAKEN, Ordering::Relaxed);
        self.first.set(next);
        // SAFETY: L2.
        match unsafe { next.as_ref() } {
            Some(next) => next.prev.set(ptr::null()),
            None => self.last.set(ptr::null()),
        }
        Some(first)
    }

    /// Takes one out that is in this line, to be woken.
    #[inline(always)]
    pub(crate) fn serve(&self, waiter: &Waiter, served: &mut Served) {
        self.remove(waiter);
        waiter.stage.store(TAKEN, Ordering::Relaxed);
        waiter.next.set(ptr::null());
        // SAFETY: what was taken out stays in place until it is served.
        match unsafe { served.last.as_ref() } {
            Some(last) => last.next.set(waiter),
            None => served.first = waiter,
        }
        served.last = waiter;
    }
}

impl Served {
    /// Nobody.
    pub(crate) const fn nobody() -> Self {
        Self {
            first: ptr::null(),
            last: ptr::null(),
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Wakes them, in the order in which they were taken out. To be called with nothing locked.
    #[inline(always)]
    pub(crate) fn wake(self) {
        let mut waiter = self.first;
        // SAFETY: what was taken out stays in place until it is served.
        while let Some(node) = unsafe { waiter.as_ref() } {
            waiter = node.next.get();
            // SAFETY: it was taken out, and the line is unlocked.
            unsafe { Waiter::wake(node) };
        }
    }
}

impl Waiter {
    /// The one behind it in the line.
    #[inline]
    pub(crate) const fn behind(&self) -> Option<&Self> {
        // SAFETY: L2.
        unsafe { self.next.get().as_ref() }
    }

    /// A place in a line to come.
    #[inline(always)]
    pub(crate) const fn new(fiber: *const Header) -> Self {
        Self {
            fiber,
            note: Cell::new(ptr::null_mut()),
            next: Cell::new(ptr::null()),
            prev: Cell::new(ptr::null()),
            stage: AtomicU8::new(IN_LINE),
        }
    }

    /// Wakes one that was taken out. It may be gone afterwards.
    ///
    /// # Safety
    ///
    /// It was taken out and not yet woken; nothing is locked.
    #[inline(always)]
    pub(crate) unsafe fn wake(waiter: *const Self) {
        // SAFETY: what was taken out stays in place until it is served.
        let node = unsafe { &*waiter };
        // SAFETY: its fiber cannot go on before it is served.
        unsafe { wake(node.fiber) };
        node.stage.store(SERVED, Ordering::Release);
    }

    /// Whether it was taken out to be woken.
    #[inline(always)]
    pub(crate) fn is_taken(&self) -> bool {
        self.stage.load(Ordering::Acquire) != IN_LINE
    }

    /// Waits until the one who took it out is done with it: another core, for a few instructions.
    #[inline(always)]
    pub(crate) fn await_served(&self) {
        while self.stage.load(Ordering::Acquire) != SERVED {
            spin_loop();
        }
    }

    /// Waits in line until it is served. If it is not, it leaves the line, and `leave` does what else that means.
    #[inline]
    #[track_caller]
    pub(crate) fn wait<S>(
        &self,
        shared: &Locked<S>,
        reason: WaitReason,
        object: *const (),
        deadline: Nanoseconds,
        leave: impl FnOnce(&mut S, &Self) -> Served,
    ) -> Result<(), WaitError> {
        let waited = waiting::wait_until(self.fiber, reason, object, deadline, || self.is_taken());
        self.finish(waited, shared, leave)
    }

    /// As [`wait`](Self::wait), but a cancellation does not end it.
    #[inline]
    #[track_caller]
    pub(crate) fn wait_shielded<S>(
        &self,
        shared: &Locked<S>,
        reason: WaitReason,
        object: *const (),
        deadline: Nanoseconds,
        leave: impl FnOnce(&mut S, &Self) -> Served,
    ) -> Result<(), WaitError> {
        let waited =
            waiting::wait_shielded_until(self.fiber, reason, object, deadline, || self.is_taken());
        self.finish(waited, shared, leave)
    }

    #[inline(always)]
    fn finish<S>(
        &self,
        waited: Result<(), WaitError>,
        shared: &Locked<S>,
        leave: impl FnOnce(&mut S, &Self) -> Served,
    ) -> Result<(), WaitError> {
        if waited.is_err() && self.left(shared, leave) {
            return waited;
        }
        self.await_served();
        Ok(())
    }

    /// Leaves the line, unless it was served meanwhile: then what it was given is not lost, and it returns false.
    #[cold]
    #[inline(never)]
    fn left<S>(&self, shared: &Locked<S>, leave: impl FnOnce(&mut S, &Self) -> Served) -> bool {
        let served = shared.with(|state| (!self.is_taken()).then(|| leave(state, self)));
        served.map(Served::wake).is_some()
    }
}
