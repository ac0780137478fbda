//! The place of one fiber in a line: how it is served, and how it leaves.

use super::{ALONE, DISMISSED, IN_LINE, SERVED, Served};
use crate::atomic::spin_loop;
use crate::platform::Nanoseconds;
use crate::scheduler::WaitError;
use crate::scheduler::run_loop::{waiting, wake, wake_by_fiber};
use crate::scheduler::task::header::Header;
use crate::scheduler::task::wait::{Kind, Record};
use crate::sync::lock_error::LockError;
use crate::sync::locked::Locked;
use core::cell::Cell;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicU8, Ordering};

/// The place of one fiber in a line. It begins with the record of the fiber's wait, so that each is
/// found from the other.
#[repr(C)]
pub(in crate::sync) struct Waiter {
    record: Record,
    pub(in crate::sync) fiber: *const Header,
    /// A word through which the primitive and the waiter exchange information. It is accessed like
    /// the line (**L1**), or by the waiter itself while that is in no line.
    note: Cell<MaybeUninit<*mut ()>>,
    pub(super) stage: AtomicU8,
    /// The neighbours. They are initialized once the waiter was in a line.
    next: Cell<MaybeUninit<*const Self>>,
    prev: Cell<MaybeUninit<*const Self>>,
}

impl Waiter {
    /// Creates a waiter that is in no line.
    #[inline(always)]
    pub(in crate::sync) const fn new(fiber: *const Header) -> Self {
        Self {
            record: Record::new(),
            fiber,
            note: Cell::new(MaybeUninit::new(ptr::null_mut())),
            stage: AtomicU8::new(ALONE),
            next: Cell::new(MaybeUninit::uninit()),
            prev: Cell::new(MaybeUninit::uninit()),
        }
    }

    /// Behaves like [`new`](Self::new), for a primitive that never looks at the note.
    #[inline(always)]
    pub(in crate::sync) const fn without_note(fiber: *const Header) -> Self {
        Self {
            note: Cell::new(MaybeUninit::uninit()),
            ..Self::new(fiber)
        }
    }

    /// Returns the note. The primitive must have created the waiter with [`new`](Self::new).
    #[inline(always)]
    pub(in crate::sync) const fn note(&self) -> *mut () {
        // SAFETY: L3.
        unsafe { self.note.get().assume_init() }
    }

    #[inline(always)]
    pub(in crate::sync) fn set_note(&self, note: *mut ()) {
        self.note.set(MaybeUninit::new(note));
    }

    /// Returns the object that a failed fiber waited for, and its waiter, from the arguments of
    /// [`Leave`](crate::scheduler::task::wait::Leave).
    ///
    /// # Safety
    ///
    /// The arguments must be those. A wait in a line keeps both in place, and the fiber must not have
    /// resumed since.
    pub(in crate::sync) const unsafe fn of_failed<'a, P>(
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
    pub(in crate::sync) const fn behind(&self) -> Option<&Self> {
        // SAFETY: L2.
        unsafe { self.next().as_ref() }
    }

    /// Returns the next waiter. This waiter must have been in a line.
    #[inline(always)]
    pub(super) const fn next(&self) -> *const Self {
        // SAFETY: whoever is in a line was pushed, which sets both.
        unsafe { self.next.get().assume_init() }
    }

    #[inline(always)]
    pub(super) const fn prev(&self) -> *const Self {
        // SAFETY: as above.
        unsafe { self.prev.get().assume_init() }
    }

    #[inline(always)]
    pub(super) fn set_next(&self, next: *const Self) {
        self.next.set(MaybeUninit::new(next));
    }

    #[inline(always)]
    pub(super) fn set_prev(&self, prev: *const Self) {
        self.prev.set(MaybeUninit::new(prev));
    }

    /// Wakes a waiter that was taken out. The waiter may no longer exist afterwards.
    ///
    /// # Safety
    ///
    /// The waiter must have been taken out and not yet woken. The caller must hold no lock.
    #[inline(always)]
    pub(in crate::sync) unsafe fn wake(waiter: *const Self) {
        // SAFETY: the caller's promise.
        unsafe { Self::end(waiter, SERVED) };
    }

    /// Behaves like [`wake`](Self::wake), in a fiber with interrupts on.
    ///
    /// # Safety
    ///
    /// The requirements of [`wake`](Self::wake) apply. The caller must be a fiber, and interrupts
    /// must be on.
    #[inline(always)]
    pub(in crate::sync) unsafe fn wake_by_fiber(waiter: *const Self) {
        // SAFETY: the caller's promise.
        let fiber = unsafe { Self::set_stage(waiter, SERVED) };
        // SAFETY: as in `end`, and the caller's promise.
        unsafe { wake_by_fiber(fiber) };
    }

    /// Wakes a waiter that was taken out, after this change of its stage.
    ///
    /// # Safety
    ///
    /// The requirements of [`wake`](Self::wake) apply.
    #[inline(always)]
    pub(super) unsafe fn end(waiter: *const Self, stage: u8) {
        // SAFETY: the caller's promise.
        let fiber = unsafe { Self::set_stage(waiter, stage) };
        // SAFETY: it was alive until now. If it has ended since, on another core, its header is
        // still a header, and who lives there now is woken once too often, which every wait bears.
        unsafe { wake(fiber) };
    }

    /// Sets the last stage of a waiter that was taken out. Returns its fiber.
    ///
    /// # Safety
    ///
    /// The requirements of [`wake`](Self::wake) apply.
    #[inline(always)]
    unsafe fn set_stage(waiter: *const Self, stage: u8) -> *const Header {
        // SAFETY: what was taken out stays in place until it is served.
        let node = unsafe { &*waiter };
        let fiber = node.fiber;
        node.stage.store(stage, Ordering::Release);
        fiber
    }

    /// Returns whether a waiter that was pushed is still in the line. The caller must hold the lock
    /// of the line.
    pub(in crate::sync) fn is_in_line(&self) -> bool {
        self.stage.load(Ordering::Relaxed) == IN_LINE
    }

    /// Returns whether the waiter was taken out, and the code that took it out no longer accesses
    /// it.
    #[inline(always)]
    pub(in crate::sync) fn is_served(&self) -> bool {
        self.stage.load(Ordering::Acquire) == SERVED
    }

    /// Returns whether the waiter was taken out to get nothing, and the code that took it out no
    /// longer accesses it.
    #[cold]
    pub(in crate::sync) fn is_dismissed(&self) -> bool {
        self.stage.load(Ordering::Acquire) == DISMISSED
    }

    /// Waits until the waiter is served or dismissed. That code runs on another core, and needs
    /// only a few instructions.
    #[cold]
    pub(in crate::sync) fn await_served(&self) {
        while !self.is_served() && !self.is_dismissed() {
            spin_loop();
        }
    }

    /// Waits until `is_done` returns true. If the wait ends before, the fiber is still in its place.
    ///
    /// # Safety
    ///
    /// `fiber` must be that of the waiter. The kind must be one in a line, whose function expects this
    /// waiter and this object.
    #[inline(always)]
    #[track_caller]
    pub(in crate::sync) unsafe fn wait_until(
        &self,
        fiber: *const Header,
        kind: &'static Kind,
        object: *const (),
        deadline: Nanoseconds,
        is_done: impl FnMut() -> bool,
    ) -> Result<(), WaitError> {
        let record = ptr::from_ref(self).cast();
        // SAFETY: it is the record of this place, which L2 keeps there. The rest is the caller's
        // promise.
        unsafe { waiting::wait_in_line_until(record, fiber, kind, object, deadline, is_done) }
    }

    /// Waits in the line until the fiber is served. If the wait ends before, the fiber leaves the
    /// line, and `leave` updates the state of the primitive.
    #[inline]
    #[track_caller]
    pub(in crate::sync) fn wait<S>(
        &self,
        shared: &Locked<S>,
        kind: &'static Kind,
        object: *const (),
        deadline: Nanoseconds,
        leave: impl FnOnce(&mut S, &Self) -> Served,
    ) -> Result<(), WaitError> {
        let is_done = || self.is_served();
        // SAFETY: each primitive passes its own kind, and itself.
        let waited = unsafe { self.wait_until(self.fiber, kind, object, deadline, is_done) };
        self.finish(waited, shared, leave)
    }

    /// Behaves like [`wait`](Self::wait), but a cancellation does not end the wait. It also ends
    /// when `is_poisoned` returns true, because the holder of what is waited for has failed. The
    /// failure wakes the waiter.
    #[inline]
    #[track_caller]
    pub(in crate::sync) fn wait_for_holder<S>(
        &self,
        shared: &Locked<S>,
        kind: &'static Kind,
        object: *const (),
        deadline: Nanoseconds,
        is_poisoned: impl Fn() -> bool,
        leave: impl FnOnce(&mut S, &Self) -> Served,
    ) -> Result<(), LockError> {
        let is_done = || self.is_served() || is_poisoned();
        let (record, fiber) = (ptr::from_ref(self).cast(), self.fiber);
        // SAFETY: as in `wait` and `wait_until`.
        let waited = unsafe {
            waiting::wait_in_line_shielded_until(record, fiber, kind, object, deadline, is_done)
        };
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
    pub(in crate::sync) fn has_left<S>(
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
