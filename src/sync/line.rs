//! A line of fibers that wait, first come, first served. Its nodes lie on the waiters' own stacks.
//!
//! ```text
//!   ALONE ──pushed──► IN_LINE ──taken out, with the line locked──► TAKEN ──woken, with it unlocked──► SERVED
//!     └─────────────── taken by whoever the primitive shows it to, and woken ───────────────────────────┘
//! ```
//!
//! A node that was taken out is still used until it is SERVED; that is the last that is done to it.
//!
//! - **L1**: a line is touched only in its [`Locked`].
//! - **L2**: a waiter stays where it is until it left the line or is served: [`Waiter::wait`] returns no sooner.

use super::lock_error::LockError;
use super::locked::Locked;
use crate::platform::Nanoseconds;
use crate::scheduler::WaitError;
use crate::scheduler::run_loop::{waiting, wake};
use crate::scheduler::task::header::Header;
use crate::scheduler::task::wait::Kind;
use core::cell::Cell;
use core::hint::spin_loop;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicU8, Ordering};

const ALONE: u8 = 0;
const IN_LINE: u8 = 1;
const TAKEN: u8 = 2;
const SERVED: u8 = 3;

/// One fiber's place in a line.
pub(crate) struct Waiter {
    pub(crate) fiber: *const Header,
    /// What the primitive wants to know of the waiter, or tells it. Touched as the line is (**L1**), or by the waiter itself
    /// when it is in none.
    pub(crate) note: Cell<*mut ()>,
    stage: AtomicU8,
    /// The neighbours, once it was in a line.
    next: Cell<MaybeUninit<*const Self>>,
    prev: Cell<MaybeUninit<*const Self>>,
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
        core::iter::successors(self.first(), |waiter| unsafe { waiter.next().as_ref() })
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
        node.set_next(ptr::null());
        node.set_prev(last);
        // SAFETY: L2.
        match unsafe { last.as_ref() } {
            Some(last) => last.set_next(waiter),
            None => self.first.set(waiter),
        }
    }

    /// Adds a waiter behind the last one that it `is_behind`, or as the first.
    ///
    /// # Safety
    ///
    /// The requirements of [`push`](Self::push) apply.
    pub(crate) unsafe fn insert_behind(
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

    /// Takes a waiter out that is in this line; it leaves unserved.
    #[inline]
    pub(crate) fn remove(&self, waiter: &Waiter) {
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

    /// Takes one out that is in this line, to be woken.
    #[inline(always)]
    pub(crate) fn serve(&self, waiter: &Waiter, served: &mut Served) {
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
            waiter = node.next();
            // SAFETY: it was taken out, and the line is unlocked.
            unsafe { Waiter::wake(node) };
        }
    }
}

impl Waiter {
    /// A place in a line to come.
    #[inline(always)]
    pub(crate) const fn new(fiber: *const Header) -> Self {
        Self {
            fiber,
            note: Cell::new(ptr::null_mut()),
            stage: AtomicU8::new(ALONE),
            next: Cell::new(MaybeUninit::uninit()),
            prev: Cell::new(MaybeUninit::uninit()),
        }
    }

    /// What a fiber that failed waited for, and the fiber's place in its line, from the words in its wait's record.
    ///
    /// # Safety
    ///
    /// That is what they are of. A wait in line keeps both in place, and the fiber has not gone on since.
    pub(crate) const unsafe fn of_failed<'a, P>(
        object: *const (),
        waiter: *const (),
    ) -> (&'a P, &'a Self) {
        // SAFETY: the caller's promise.
        let object = unsafe { &*object.cast() };
        // SAFETY: as above.
        (object, unsafe { &*waiter.cast() })
    }

    /// The one behind it in the line.
    #[inline]
    pub(crate) const fn behind(&self) -> Option<&Self> {
        // SAFETY: L2.
        unsafe { self.next().as_ref() }
    }

    /// Of one that was in a line.
    #[inline(always)]
    const fn next(&self) -> *const Self {
        // SAFETY: whoever is in a line was pushed, which sets both.
        unsafe { self.next.get().assume_init() }
    }

    #[inline(always)]
    const fn prev(&self) -> *const Self {
        // SAFETY: as above.
        unsafe { self.prev.get().assume_init() }
    }

    #[inline(always)]
    fn set_next(&self, next: *const Self) {
        self.next.set(MaybeUninit::new(next));
    }

    #[inline(always)]
    fn set_prev(&self, prev: *const Self) {
        self.prev.set(MaybeUninit::new(prev));
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
        let fiber = node.fiber;
        node.stage.store(SERVED, Ordering::Release);
        // SAFETY: it was alive until now. If it has ended since, on another core, its header is still a header, and who
        // lives there now is woken once too often, which every wait bears.
        unsafe { wake(fiber) };
    }

    /// Whether it is still in line, for one that was put there. To be asked with the line locked.
    pub(crate) fn is_in_line(&self) -> bool {
        self.stage.load(Ordering::Relaxed) == IN_LINE
    }

    /// Whether the one who took it out is done with it.
    #[inline(always)]
    pub(crate) fn is_served(&self) -> bool {
        self.stage.load(Ordering::Acquire) == SERVED
    }

    /// Waits until the one who took it out is done with it: another core, for a few instructions.
    #[cold]
    pub(crate) fn await_served(&self) {
        while !self.is_served() {
            spin_loop();
        }
    }

    /// Waits in line until it is served. If it is not, it leaves the line, and `leave` does what else that means.
    #[inline]
    #[track_caller]
    pub(crate) fn wait<S>(
        &self,
        shared: &Locked<S>,
        kind: &'static Kind,
        object: *const (),
        deadline: Nanoseconds,
        leave: impl FnOnce(&mut S, &Self) -> Served,
    ) -> Result<(), WaitError> {
        let this = ptr::from_ref(self).cast();
        let is_done = || self.is_served();
        let waited = waiting::wait_in_line_until(this, self.fiber, kind, object, deadline, is_done);
        self.finish(waited, shared, leave)
    }

    /// As [`wait`](Self::wait), but a cancellation does not end it, and no longer than until `is_poisoned`: the fiber that has
    /// what is waited for has failed. That wakes the waiter.
    #[inline]
    #[track_caller]
    pub(crate) fn wait_for_holder<S>(
        &self,
        shared: &Locked<S>,
        kind: &'static Kind,
        object: *const (),
        deadline: Nanoseconds,
        is_poisoned: impl Fn() -> bool,
        leave: impl FnOnce(&mut S, &Self) -> Served,
    ) -> Result<(), LockError> {
        let is_done = || self.is_served() || is_poisoned();
        let this = ptr::from_ref(self).cast();
        let waited =
            waiting::wait_in_line_shielded_until(this, self.fiber, kind, object, deadline, is_done);
        if self.is_served() || !self.has_left(shared, leave) {
            return Ok(());
        }
        Err(waited.map_or_else(LockError::of, |()| LockError::Poisoned))
    }

    #[inline(always)]
    fn finish<S>(
        &self,
        waited: Result<(), WaitError>,
        shared: &Locked<S>,
        leave: impl FnOnce(&mut S, &Self) -> Served,
    ) -> Result<(), WaitError> {
        if waited.is_err() && self.has_left(shared, leave) {
            return waited;
        }
        Ok(())
    }

    /// Leaves the line, unless it was taken out meanwhile: then what it is given is not lost, and it returns false.
    #[cold]
    #[inline(never)]
    pub(crate) fn has_left<S>(
        &self,
        shared: &Locked<S>,
        leave: impl FnOnce(&mut S, &Self) -> Served,
    ) -> bool {
        let served = shared.with(|state| self.is_in_line().then(|| leave(state, self)));
        let Some(served) = served else {
            self.await_served();
            return false;
        };
        served.wake();
        true
    }
}
