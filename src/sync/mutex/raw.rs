//! The lock word of a mutex: which fiber owns it, and whether others wait.
//!
//! ```text
//!   0                free                     one compare-exchange locks or unlocks
//!   owner            locked, no fiber waits
//!   owner | AWAITED  locked, fibers may wait; changed only in the lock of the line
//! ```

use super::inheritance::{self, Awaited};
use crate::atomic::IS_ONE_CORE;
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::WaitReason;
use crate::scheduler::fail::failing;
use crate::scheduler::run_loop::deadlock;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::owner::{FLAG, HeldBy, OwnerWord};
use crate::scheduler::task::wait::{Giver, Kind};
use crate::sync::line::{Line, Served, Waiter};
use crate::sync::lock_error::LockError;
use crate::sync::locked::Locked;
use core::cell::Cell;
use core::panic::Location;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

const AWAITED: usize = FLAG;

static KIND: Kind = Kind::in_line(WaitReason::Mutex, Giver::Holder(holder_of), leave_failed);

fn leave(line: &mut Line, waiter: &Waiter) -> Served {
    line.remove(waiter);
    Served::nobody()
}

/// Removes a fiber that failed while it waited.
///
/// # Safety
///
/// The requirements of [`Leave`](crate::scheduler::task::wait::Leave) apply.
unsafe fn leave_failed(object: *const (), waiter: *const ()) {
    // SAFETY: the caller's promise.
    let (this, waiter) = unsafe { Waiter::of_failed::<RawMutex>(object, waiter) };
    // If the mutex was handed over to the fiber before, it is poisoned, as if the fiber had failed
    // a moment later.
    if waiter.has_left(&this.line, leave) {
        // SAFETY: the caller's promise.
        unsafe { inheritance::no_longer_wanted(this, waiter.fiber) };
    }
}

/// Returns the owner of a mutex for the wait graph.
///
/// # Safety
///
/// The requirements of [`HolderOf`](crate::scheduler::task::wait::HolderOf) apply.
unsafe fn holder_of(object: *const (), fiber: *const Header, is_about_to_wait: bool) -> HeldBy {
    // SAFETY: the caller's promise.
    let owner = unsafe { &*object.cast::<RawMutex>() }.owner();
    if owner.is_nobody() || owner.is_of(fiber) && !is_about_to_wait {
        return HeldBy::Nobody;
    }
    HeldBy::Fiber(owner)
}

/// A mutex without its value; see the [module](self).
pub(super) struct RawMutex {
    word: AtomicPtr<Header>,
    pub(super) line: Locked<Line>,
    /// The next mutex in the list of the owner's awaited mutexes: see
    /// [`inheritance`].
    pub(super) next_wanted: Cell<*const Self>,
    pub(super) is_wanted: Cell<bool>,
}

impl Awaited for RawMutex {
    fn next_wanted(&self) -> &Cell<*const Self> {
        &self.next_wanted
    }

    fn is_wanted(&self) -> &Cell<bool> {
        &self.is_wanted
    }
}

impl RawMutex {
    pub(super) const fn new() -> Self {
        Self {
            word: AtomicPtr::new(ptr::null_mut()),
            line: Locked::new(Line::new()),
            next_wanted: Cell::new(ptr::null()),
            is_wanted: Cell::new(false),
        }
    }

    /// Returns the owner.
    pub(super) fn owner(&self) -> OwnerWord {
        OwnerWord::from_stored(self.word.load(Ordering::Relaxed))
    }

    #[inline(always)]
    fn change(&self, from: *mut Header, to: *mut Header, order: Ordering) -> bool {
        if IS_ONE_CORE {
            // Interrupt handlers look at the word, but only fibers change it, and none of them runs in
            // between.
            // SAFETY: nobody writes it meanwhile.
            let is_from = unsafe { *self.word.as_ptr() } == from;
            if is_from {
                self.word.store(to, Ordering::Relaxed);
            }
            return is_from;
        }
        self.word
            .compare_exchange(from, to, order, Ordering::Relaxed)
            .is_ok()
    }

    #[inline(always)]
    pub(super) fn try_lock(&self, owner: OwnerWord) -> bool {
        self.change(ptr::null_mut(), owner.raw(), Ordering::Acquire)
    }

    /// Unlocks the mutex. If fibers wait, it is handed to the one that has waited longest.
    ///
    /// # Safety
    ///
    /// `owner` must be the word of the running fiber, which owns the mutex. The caller must be the
    /// owner of its loop.
    #[inline(always)]
    pub(super) unsafe fn unlock(&self, owner: OwnerWord) {
        if !self.change(owner.raw(), ptr::null_mut(), Ordering::Release) {
            // SAFETY: the caller's promise.
            unsafe { self.hand_over(owner.fiber()) };
        }
    }

    /// Hands the mutex to the first waiting fiber, if there is one.
    ///
    /// # Safety
    ///
    /// The requirements of [`unlock`](Self::unlock) apply.
    #[cold]
    #[inline(never)]
    unsafe fn hand_over(&self, fiber: *const Header) {
        let mut served = Served::nobody();
        let give = || self.line.with(|line| self.give_to_first(line, &mut served));
        // SAFETY: the caller is the owner of the loop; the next one is woken below.
        unsafe { inheritance::handing_over(self, fiber, give) };
        served.wake();
    }

    /// Waits until the mutex is handed over to `fiber`, which runs and may wait.
    #[cold]
    #[inline(never)]
    #[track_caller]
    pub(super) fn wait(&self, fiber: *const Header) {
        self.check_not_owner(fiber);
        if !self.is_poisoned() {
            deadlock::look(fiber, &KIND, ptr::from_ref(self).cast());
        }
        self.wait_whatever_comes(fiber);
    }

    #[track_caller]
    fn check_not_owner(&self, fiber: *const Header) {
        assert!(
            !self.owner().is_of(fiber),
            "a mutex was locked by the fiber that holds it already, which would wait for itself: drop the first guard before"
        );
    }

    /// Behaves like [`wait`](Self::wait), but panics only for poison.
    #[cold]
    #[inline(never)]
    #[track_caller]
    pub(super) fn wait_again(&self, fiber: *const Header) {
        let object = ptr::from_ref(self).cast();
        if !self.is_poisoned() {
            deadlock::look_and_wait(Location::caller(), fiber, &KIND, object);
        }
        self.wait_whatever_comes(fiber);
    }

    #[track_caller]
    fn wait_whatever_comes(&self, fiber: *const Header) {
        if self.wait_in_line(fiber, NEVER).is_err() {
            self.panic_for_poison();
        }
    }

    /// Panics with a message that names the failure.
    #[cold]
    #[inline(never)]
    #[track_caller]
    fn panic_for_poison(&self) -> ! {
        let owner = self.owner();
        let name = owner.name();
        // SAFETY: only fibers own mutexes, so it is a cell's; it is poisoned, so there is an owner.
        match unsafe { failing::failure(owner.fiber()) } {
            Some(failure) => {
                panic!("a mutex is poisoned: fiber \"{name}\", which held it, {failure}")
            }
            None => panic!("a mutex is poisoned: fiber \"{name}\" failed while it held it"),
        }
    }

    /// Returns whether the owner has failed. It then owns the mutex permanently.
    pub(super) fn is_poisoned(&self) -> bool {
        self.owner().has_failed()
    }

    /// Takes the mutex from a failed owner, and hands it on. Returns false if the owner has not
    /// failed.
    ///
    /// `fiber` must run, and the caller must be the owner of its loop.
    pub(super) fn take_from_failed(&self, fiber: *const Header) -> bool {
        let mut served = Served::nobody();
        let take = |line: &mut Line| {
            self.is_poisoned().then(|| {
                // The mutex may be in the failed fiber's list of awaited mutexes. Nobody reads that
                // list any more.
                self.is_wanted.set(false);
                self.give_to_first(line, &mut served)
            })
        };
        // SAFETY: the caller is the owner of the loop; the next one is woken below.
        let is_taken = unsafe { inheritance::taking(self, fiber, || self.line.with(take)) };
        served.wake();
        is_taken
    }

    /// Gives the mutex to the first fiber in line, and returns that fiber. Returns null if no fiber
    /// waits.
    #[inline(always)]
    fn give_to_first(&self, line: &Line, served: &mut Served) -> *const Header {
        let next = line
            .serve_first(served)
            .map_or(ptr::null(), |waiter| waiter.fiber);
        let is_awaited = usize::from(!line.is_empty());
        // SAFETY: whoever was in line waits still.
        let word = unsafe { OwnerWord::of_or_nobody(next) }.raw();
        let word = word.map_addr(|address| address | is_awaited);
        self.word.store(word, Ordering::Release);
        next
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    pub(super) fn wait_until(
        &self,
        fiber: *const Header,
        deadline: Nanoseconds,
    ) -> Result<(), LockError> {
        self.check_not_owner(fiber);
        if deadline == NEVER && !self.is_poisoned() {
            deadlock::look(fiber, &KIND, ptr::from_ref(self).cast());
        }
        self.wait_in_line(fiber, deadline)
    }

    #[inline(always)]
    #[track_caller]
    fn wait_in_line(&self, fiber: *const Header, deadline: Nanoseconds) -> Result<(), LockError> {
        let waiter = Waiter::new(fiber);
        let enter = || self.line.with(|line| self.enter(line, &waiter));
        // SAFETY: the caller runs in this fiber.
        if unsafe { inheritance::entering(self, fiber, enter) }.is_none() {
            return Ok(());
        }
        let object = ptr::from_ref(self).cast();
        let waited = waiter.wait_for_holder(
            &self.line,
            &KIND,
            object,
            deadline,
            || self.is_poisoned(),
            leave,
        );
        if waited.is_err() {
            // SAFETY: the caller runs in a fiber.
            unsafe { inheritance::no_longer_wanted(self, fiber) };
        }
        waited
    }

    /// Locks the mutex for the waiter. If another fiber owns it, puts the waiter into the line and
    /// returns the owner.
    fn enter(&self, line: &Line, waiter: &Waiter) -> Option<OwnerWord> {
        // SAFETY: it runs.
        let own = unsafe { OwnerWord::of(waiter.fiber) };
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let next = if word.is_null() {
                own.raw()
            } else {
                word.map_addr(|address| address | AWAITED)
            };
            if !self.change(word, next, Ordering::Acquire) {
                word = self.word.load(Ordering::Relaxed);
                continue;
            }
            if word.is_null() {
                return None;
            }
            // SAFETY: it is new, and waits next, which keeps it in place.
            unsafe { line.push(waiter) };
            return Some(OwnerWord::from_stored(word));
        }
    }
}
