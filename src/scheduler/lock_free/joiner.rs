//! The notification at the end of a fiber: one word, and room for a waker.
//!
//! ```text
//!   NOBODY ◄──► a fiber          by the holder of the join handle
//!   NOBODY ◄──► WAKER            by the same holder, in its place
//!   LATE ◄────► a late fiber     by the same holder; a waker is refused
//!   WAKER ────► LATE             by the ending fiber, which moves the waker out
//!   LATE ─────► NOBODY           by the ending fiber, before it calls the first waker
//!   any ──────► LATE             by the ending fiber, before it calls the second waker
//!   any ──────► TOO_LATE         by the ending fiber, once
//! ```
//!
//! A waker may wait, and the handle may be polled again meanwhile. That waker is called too, and
//! from then on wakers are refused, so that the fiber ends at last. A fiber that joins is never
//! refused before `TOO_LATE`, for it would look again and again, and would not leave the core to the
//! fiber that ends. `TOO_LATE` comes when only the switch is left.
//!
//! - **J1**: there is a waker in its place while the word is WAKER. Whoever changes the word from
//!   WAKER owns the waker.
//! - **J2**: only the holder of the join handle puts a waker into the place, and only while the
//!   word is NOBODY. The ending fiber changes the word from WAKER to LATE or `TOO_LATE`, so the
//!   place is not used again before it has moved the waker out.

use crate::atomic::{AtomicPtr, Change as _, Ordering};
#[cfg(not(loom))]
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr;
use core::task::Waker;
#[cfg(loom)]
use loom::cell::UnsafeCell;

/// The values of the word that are no address of a fiber.
const NOBODY: usize = 0;
/// The same, where a waker is refused. The address of a fiber may have this bit too.
const LATE: usize = 1;
const WAKER: usize = 2;
const TOO_LATE: usize = 4;

/// Whether the holder of the handle can do something between the call of the waker and the end: on
/// another core, or in another thread of a host.
const CAN_OTHERS_INTERFERE: bool = cfg!(any(target_os = "linux", feature = "smp"));

/// The recipient of the notification.
#[cfg(not(loom))]
pub(crate) enum Joiner<T> {
    Fiber(*const T),
    Waker(Waker),
}

/// The place of a joiner; see the [module](self). Zeroed bytes are an empty place.
pub(crate) struct JoinerPlace<T> {
    word: AtomicPtr<T>,
    waker: UnsafeCell<MaybeUninit<Waker>>,
}

const fn word<T>(value: usize) -> *mut T {
    ptr::without_provenance_mut(value)
}

/// Returns the same word, late. The address of a fiber stays as it is where nobody could remove the
/// fiber after the call of the waker.
fn late<T>(word: *mut T) -> *mut T {
    const { assert!(align_of::<T>() > TOO_LATE) };
    if !CAN_OTHERS_INTERFERE && word.addr() > TOO_LATE {
        return word;
    }
    word.map_addr(|address| address | LATE)
}

/// Returns the same word, not late.
fn open<T>(word: *mut T) -> *mut T {
    word.map_addr(|address| address & !LATE)
}

fn is_late<T>(word: *mut T) -> bool {
    word.addr() & LATE != 0
}

/// Returns the fiber whose address the word is, late or not.
fn fiber_of<T>(word: *mut T) -> Option<*const T> {
    (word.addr() > TOO_LATE).then(|| open(word).cast_const())
}

impl<T> JoinerPlace<T> {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self {
            word: AtomicPtr::new(word(NOBODY)),
            waker: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicPtr::new(word(NOBODY)),
            waker: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Resets the place for a new fiber. The previous fiber has closed it.
    #[inline(always)]
    pub(crate) fn begin(&self) {
        self.word.store(word(NOBODY), Ordering::Relaxed);
    }

    /// Sets a fiber as the joiner to notify, instead of the previous one. Returns false if it is too
    /// late: the fiber is ending, and only the switch is left, which takes a few instructions on
    /// another core. If it returns true, the fiber is woken at the end, unless it is removed first.
    ///
    /// The destructor of a waker that was there runs inside of this call. Only the holder of the join
    /// handle may call this function, one call at a time.
    #[must_use]
    pub(crate) fn set_fiber(&self, fiber: *const T) -> bool {
        while let Some(empty) = self.remove() {
            let fiber = fiber.cast_mut();
            let fiber = if is_late(empty) { late(fiber) } else { fiber };
            // Nobody's code runs after this, so the fiber has not waited when it returns.
            if self.exchange(empty, fiber) {
                return true;
            }
        }
        false
    }

    /// Sets a fiber as the joiner to notify, if the place is empty and not late. Otherwise returns false.
    ///
    /// Only the holder of the join handle may call this function, one call at a time.
    #[inline(always)]
    #[must_use]
    pub(crate) fn set_fiber_at_once(&self, fiber: *const T) -> bool {
        self.exchange(word(NOBODY), fiber.cast_mut())
    }

    /// Sets a waker to call, instead of the previous joiner. Returns it if it is too late.
    ///
    /// Only the holder of the join handle may call this function, one call at a time.
    pub(crate) fn set_waker(&self, waker: Waker) -> Result<(), Waker> {
        match self.remove() {
            Some(empty) if !is_late(empty) => self.put_waker(waker),
            _ => Err(waker),
        }
    }

    fn put_waker(&self, waker: Waker) -> Result<(), Waker> {
        // SAFETY: J2: the word was NOBODY, and only we use the place.
        self.with_place(|place| unsafe { (*place).write(waker) });
        if self.exchange(word(NOBODY), word(WAKER)) {
            return Ok(());
        }
        // SAFETY: J1: it was put there above, and the word never said so.
        Err(unsafe { self.take_waker() })
    }

    /// Returns whether there is a waker.
    #[inline(always)]
    pub(crate) fn has_waker(&self) -> bool {
        self.word.load(Ordering::Relaxed).addr() == WAKER
    }

    /// Removes the joiner. Returns false if it is too late.
    pub(crate) fn clear(&self) -> bool {
        self.remove().is_some()
    }

    /// Removes the joiner, and returns what the word is then: NOBODY or LATE. Returns nothing if it
    /// is too late.
    #[inline(never)]
    fn remove(&self) -> Option<*mut T> {
        // Acquire: the ending fiber has moved the previous waker out before it said NOBODY.
        let mut before = self.word.load(Ordering::Acquire);
        loop {
            let empty = word(before.addr() & LATE);
            if before.addr() == TOO_LATE {
                return None;
            }
            if before == empty {
                return Some(empty);
            }
            if self.exchange(before, empty) {
                if before.addr() == WAKER {
                    // SAFETY: J1: it is ours.
                    drop(unsafe { self.take_waker() });
                }
                return Some(empty);
            }
            before = self.word.load(Ordering::Acquire);
        }
    }

    /// Returns the joiner if it is a fiber.
    #[inline(always)]
    pub(crate) fn fiber(&self) -> Option<*const T> {
        let joiner = self.word.load(Ordering::Relaxed);
        if CAN_OTHERS_INTERFERE {
            return fiber_of(joiner);
        }
        // It is not late: see `late`.
        (joiner.addr() > TOO_LATE).then_some(joiner.cast_const())
    }

    /// Closes the place: a later joiner learns that it is too late. A joiner that was there has
    /// been notified already.
    #[cfg(all(target_os = "linux", not(feature = "smp")))]
    #[inline(always)]
    pub(crate) fn close(&self) {
        self.word.store(word(TOO_LATE), Ordering::Relaxed);
    }

    /// Refuses wakers from now on, unless there is a joiner. Returns whether there is none. The fiber
    /// is about to leave its stack, so no fiber joins after this.
    #[cfg(all(not(target_os = "linux"), not(feature = "smp"), not(loom)))]
    #[inline(always)]
    #[must_use]
    pub(crate) fn refuse_if_empty(&self) -> bool {
        loop {
            let before = self.word.load(Ordering::Relaxed);
            if before.addr() > LATE {
                return false;
            }
            // A handler may put a waker there in between.
            if self.exchange(before, word(LATE)) {
                return true;
            }
        }
    }

    /// Calls the waker of a task that polls for the end of the fiber. From then on wakers are
    /// refused. The fiber is about to leave its stack. A joiner that is a fiber stays in the place,
    /// and may still give up. It is returned: where nobody interferes, nobody joins after this.
    ///
    /// `check` is called after each waker. It may unwind.
    #[inline(always)]
    pub(crate) fn call_waker(&self, check: impl Fn()) -> Option<*const T> {
        let joiner = self.fiber();
        if !CAN_OTHERS_INTERFERE && joiner.is_some() {
            return joiner;
        }
        self.call_waker_and_refuse(check)
    }

    #[cold]
    #[inline(never)]
    fn call_waker_and_refuse(&self, check: impl Fn()) -> Option<*const T> {
        let mut is_first = true;
        while let Some(waker) = self.refuse() {
            if is_first {
                // The waker may let other fibers run, and one of those may poll.
                self.reopen();
                is_first = false;
            }
            waker.wake();
            check();
        }
        self.fiber()
    }

    /// Makes the place late, and takes the waker if there is one.
    fn refuse(&self) -> Option<Waker> {
        if !CAN_OTHERS_INTERFERE {
            // A handler that polls meanwhile is refused already.
            let before = self.word.swap(word(LATE), Ordering::AcqRel);
            if before.addr() > TOO_LATE {
                self.word.store(before, Ordering::Relaxed);
            }
            // SAFETY: J1: it is ours.
            return (before.addr() == WAKER).then(|| unsafe { self.take_waker() });
        }
        loop {
            let before = self.word.load(Ordering::Relaxed);
            let is_waker = before.addr() == WAKER;
            let after = if is_waker { word(LATE) } else { late(before) };
            if self.exchange(before, after) {
                // SAFETY: J1: it is ours.
                return is_waker.then(|| unsafe { self.take_waker() });
            }
        }
    }

    /// Makes a late place one that is not late, whatever joiner there is.
    fn reopen(&self) {
        if !CAN_OTHERS_INTERFERE {
            // No handler changes a late place.
            return self.word.store(word(NOBODY), Ordering::Release);
        }
        let mut before = self.word.load(Ordering::Relaxed);
        // Release: J2: the place is free from here on.
        while !self.exchange(before, open(before)) {
            before = self.word.load(Ordering::Relaxed);
        }
    }

    /// Closes the place: a later joiner learns that it is too late. Returns the joiner to notify.
    #[cfg(not(loom))]
    #[inline(always)]
    pub(crate) fn end(&self) -> Option<Joiner<T>> {
        let joiner = self.word.swap(word(TOO_LATE), Ordering::AcqRel);
        if joiner.addr() == WAKER {
            // SAFETY: J1: it is ours.
            return Some(Joiner::Waker(unsafe { self.take_waker() }));
        }
        fiber_of(joiner).map(Joiner::Fiber)
    }

    /// Behaves like [`end`](Self::end), after [`call_waker`](Self::call_waker): the joiner is a
    /// fiber.
    #[cfg(any(target_os = "linux", feature = "smp"))]
    #[inline(always)]
    pub(crate) fn end_late(&self) -> Option<*const T> {
        let joiner = self.word.swap(word(TOO_LATE), Ordering::AcqRel);
        debug_assert!(joiner.addr() != WAKER, "wakers are refused");
        fiber_of(joiner)
    }

    fn exchange(&self, from: *mut T, to: *mut T) -> bool {
        self.word.change(from, to, Ordering::AcqRel)
    }

    /// Takes the waker out of its place.
    ///
    /// # Safety
    ///
    /// There must be a waker, which the caller owns (**J1**).
    unsafe fn take_waker(&self) -> Waker {
        self.with_place(|place| {
            // SAFETY: J2: nobody else uses the place while the caller owns what is in it.
            let place = unsafe { &*place };
            // SAFETY: the caller's promise.
            unsafe { place.assume_init_read() }
        })
    }

    #[inline(always)]
    fn with_place<R>(&self, f: impl FnOnce(*mut MaybeUninit<Waker>) -> R) -> R {
        #[cfg(not(loom))]
        return f(self.waker.get());
        #[cfg(loom)]
        return self.waker.with_mut(f);
    }
}
