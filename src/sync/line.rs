//! A line of waiting fibers, first come, first served. Its nodes lie on the stacks of the waiting
//! fibers.
//!
//! ```text
//!   ALONE ──pushed──► IN_LINE ──taken out, with the line locked──► TAKEN ──woken, with it unlocked──► SERVED
//!     └─────────────── taken from the primitive's own word, and woken ──────────────────────────────────┘
//! ```
//!
//! The code that took a node out still uses the node until it is SERVED. Setting SERVED is the last
//! access to it.
//!
//! - **L1**: a line is accessed only inside its [`Locked`].
//! - **L2**: a waiter stays in place until it has left the line or is served: [`Waiter::wait`] does
//!   not return before.
//! - **L3**: the note of a waiter is initialized, except in a semaphore, which does not look at it.

use super::lock_error::LockError;
use super::locked::Locked;
use crate::atomic::spin_loop;
use crate::platform::Nanoseconds;
use crate::scheduler::WaitError;
use crate::scheduler::run_loop::{waiting, wake};
use crate::scheduler::task::header::Header;
use crate::scheduler::task::wait::Kind;
use core::cell::Cell;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicU8, Ordering};

const ALONE: u8 = 0;
const IN_LINE: u8 = 1;
const TAKEN: u8 = 2;
const SERVED: u8 = 3;

/// The place of one fiber in a line.
pub(super) struct Waiter {
    pub(super) fiber: *const Header,
    /// A word through which the primitive and the waiter exchange information. It is accessed like
    /// the line (**L1**), or by the waiter itself while that is in no line.
    note: Cell<MaybeUninit<*mut ()>>,
    stage: AtomicU8,
    /// The neighbours. They are initialized once the waiter was in a line.
    next: Cell<MaybeUninit<*const Self>>,
    prev: Cell<MaybeUninit<*const Self>>,
}

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
    /// Creates a waiter that is in no line.
    #[inline(always)]
    pub(super) const fn new(fiber: *const Header) -> Self {
        Self {
            fiber,
            note: Cell::new(MaybeUninit::new(ptr::null_mut())),
            stage: AtomicU8::new(ALONE),
            next: Cell::new(MaybeUninit::uninit()),
            prev: Cell::new(MaybeUninit::uninit()),
        }
    }

    /// Behaves like [`new`](Self::new), for a primitive that never looks at the note.
    #[inline(always)]
    pub(super) const fn without_note(fiber: *const Header) -> Self {
        Self {
            note: Cell::new(MaybeUninit::uninit()),
            ..Self::new(fiber)
        }
    }

    /// Returns the note. The primitive must have created the waiter with [`new`](Self::new).
    #[inline(always)]
    pub(super) const fn note(&self) -> *mut () {
        // SAFETY: L3.
        unsafe { self.note.get().assume_init() }
    }

    #[inline(always)]
    pub(super) fn set_note(&self, note: *mut ()) {
        self.note.set(MaybeUninit::new(note));
    }

    /// Returns the note, and leaves null in its place.
    #[inline(always)]
    pub(super) fn take_note(&self) -> *mut () {
        let note = self.note();
        self.set_note(ptr::null_mut());
        note
    }

    /// Returns the object that a failed fiber waited for, and its waiter, from the two words in the
    /// record of its wait.
    ///
    /// # Safety
    ///
    /// The words must come from such a record. A wait in a line keeps both in place, and the fiber
    /// must not have resumed since.
    pub(super) const unsafe fn of_failed<'a, P>(
        object: *const (),
        waiter: *const (),
    ) -> (&'a P, &'a Self) {
        // SAFETY: the caller's promise.
        let object = unsafe { &*object.cast() };
        // SAFETY: as above.
        (object, unsafe { &*waiter.cast() })
    }

    /// Returns the waiter behind this one in the line.
    #[inline]
    pub(super) const fn behind(&self) -> Option<&Self> {
        // SAFETY: L2.
        unsafe { self.next().as_ref() }
    }

    /// Returns the next waiter. This waiter must have been in a line.
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

    /// Wakes a waiter that was taken out. The waiter may no longer exist afterwards.
    ///
    /// # Safety
    ///
    /// The waiter must have been taken out and not yet woken. The caller must hold no lock.
    #[inline(always)]
    pub(super) unsafe fn wake(waiter: *const Self) {
        // SAFETY: what was taken out stays in place until it is served.
        let node = unsafe { &*waiter };
        let fiber = node.fiber;
        node.stage.store(SERVED, Ordering::Release);
        // SAFETY: it was alive until now. If it has ended since, on another core, its header is
        // still a header, and who lives there now is woken once too often, which every wait bears.
        unsafe { wake(fiber) };
    }

    /// Returns whether a waiter that was pushed is still in the line. The caller must hold the lock
    /// of the line.
    pub(super) fn is_in_line(&self) -> bool {
        self.stage.load(Ordering::Relaxed) == IN_LINE
    }

    /// Returns whether the waiter was taken out, and the code that took it out no longer accesses
    /// it.
    #[inline(always)]
    pub(super) fn is_served(&self) -> bool {
        self.stage.load(Ordering::Acquire) == SERVED
    }

    /// Waits until the waiter is served. That code runs on another core, and needs only a few
    /// instructions.
    #[cold]
    pub(super) fn await_served(&self) {
        while !self.is_served() {
            spin_loop();
        }
    }

    /// Waits in the line until the fiber is served. If the wait ends before, the fiber leaves the
    /// line, and `leave` updates the state of the primitive.
    #[inline]
    #[track_caller]
    pub(super) fn wait<S>(
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

    /// Behaves like [`wait`](Self::wait), but a cancellation does not end the wait. It also ends
    /// when `is_poisoned` returns true, because the holder of what is waited for has failed. The
    /// failure wakes the waiter.
    #[inline]
    #[track_caller]
    pub(super) fn wait_for_holder<S>(
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

    /// Leaves the line, and returns true. If the waiter was taken out meanwhile, returns false: it
    /// keeps what it was given.
    #[cold]
    #[inline(never)]
    pub(super) fn has_left<S>(
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
