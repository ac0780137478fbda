//! The notification at the end of a fiber: one word, and room for a waker.
//!
//! ```text
//!   NOBODY ◄──► a fiber                    by the holder of the join handle
//!   NOBODY ◄──► WAKER, in its place        by the same holder
//!   WAKER ────► TAKING ────► NOBODY        by the ending fiber, which moves the waker out
//!   any ──────► TOO_LATE                   by the ending fiber, once
//! ```
//!
//! - **J1**: there is a waker in its place while the word is WAKER. Whoever changes the word from
//!   WAKER owns the waker.
//! - **J2**: only the holder of the join handle puts a waker into the place, and only while the
//!   word is NOBODY. The ending fiber changes the word from WAKER to TAKING or `TOO_LATE`, so the
//!   place is not used again before it has moved the waker out.

use crate::atomic::{AtomicPtr, Ordering, spin_loop};
#[cfg(not(loom))]
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr;
use core::task::Waker;
#[cfg(loom)]
use loom::cell::UnsafeCell;

/// The values of the word that are no address of a fiber.
const NOBODY: usize = 0;
const WAKER: usize = 1;
const TOO_LATE: usize = 2;
const TAKING: usize = 3;

/// The recipient of the notification.
pub(crate) enum Joiner<T> {
    Fiber(*const T),
    Waker(Waker),
}

/// The place of a joiner; see the [module](self). Zeroed bytes are an empty place.
pub(crate) struct JoinerPlace<T> {
    word: AtomicPtr<T>,
    waker: UnsafeCell<MaybeUninit<Waker>>,
}

/// What became of an attempt to remove the joiner.
#[derive(PartialEq, Eq)]
enum Cleared {
    Done,
    /// The waker is being moved out, which takes a few instructions.
    BeingTaken,
    TooLate,
}

const fn word<T>(value: usize) -> *mut T {
    ptr::without_provenance_mut(value)
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

    /// Sets the joiner to notify, instead of the previous one. Returns it if it is too late,
    /// because the fiber is ending. A waker is also returned if the fiber is taking the previous
    /// one at this moment: the caller, which may be an interrupt handler, cannot wait for that.
    ///
    /// Only the holder of the join handle may call this function, one call at a time.
    #[inline]
    pub(crate) fn set(&self, joiner: Joiner<T>) -> Result<(), Joiner<T>> {
        if let Joiner::Fiber(fiber) = joiner
            && self.exchange(word(NOBODY), fiber.cast_mut())
        {
            return Ok(());
        }
        self.replace(joiner)
    }

    #[cold]
    #[inline(never)]
    fn replace(&self, joiner: Joiner<T>) -> Result<(), Joiner<T>> {
        let is_fiber = matches!(joiner, Joiner::Fiber(_));
        loop {
            match self.try_clear() {
                Cleared::Done => break,
                // It is on another core, since it cannot be interrupted there by a fiber.
                Cleared::BeingTaken if is_fiber => spin_loop(),
                Cleared::BeingTaken | Cleared::TooLate => return Err(joiner),
            }
        }
        match joiner {
            Joiner::Fiber(fiber) if self.exchange(word(NOBODY), fiber.cast_mut()) => Ok(()),
            Joiner::Fiber(_) => Err(joiner),
            Joiner::Waker(waker) => {
                // SAFETY: J2: the word is NOBODY or TOO_LATE, and only we use the place.
                self.with_place(|place| unsafe { (*place).write(waker) });
                if self.exchange(word(NOBODY), word(WAKER)) {
                    return Ok(());
                }
                // SAFETY: J1: it was put there above, and the word never said so.
                Err(Joiner::Waker(unsafe { self.take_waker() }))
            }
        }
    }

    /// Removes the waker, if there is one. Its destructor runs inside of this call.
    #[inline(always)]
    pub(crate) fn drop_waker(&self) {
        if self.word.load(Ordering::Relaxed).addr() == WAKER {
            let _removed = self.try_clear();
        }
    }

    /// Removes the joiner. Returns false if it is too late.
    pub(crate) fn clear(&self) -> bool {
        self.try_clear() == Cleared::Done
    }

    fn try_clear(&self) -> Cleared {
        // Acquire: the ending fiber has moved the previous waker out before it said NOBODY.
        let mut before = self.word.load(Ordering::Acquire);
        loop {
            match before.addr() {
                NOBODY => return Cleared::Done,
                TAKING => return Cleared::BeingTaken,
                TOO_LATE => return Cleared::TooLate,
                _ if self.exchange(before, word(NOBODY)) => break,
                _ => before = self.word.load(Ordering::Acquire),
            }
        }
        if before.addr() == WAKER {
            // SAFETY: J1: it is ours.
            drop(unsafe { self.take_waker() });
        }
        Cleared::Done
    }

    /// Returns the joiner if it is a fiber.
    #[inline(always)]
    pub(crate) fn fiber(&self) -> Option<*const T> {
        let joiner = self.word.load(Ordering::Relaxed);
        (joiner.addr() > TAKING).then_some(joiner.cast_const())
    }

    /// Closes the place: a later joiner learns that it is too late. A joiner that was there has
    /// been notified already.
    #[cfg(not(feature = "smp"))]
    #[inline(always)]
    pub(crate) fn close(&self) {
        self.word.store(word(TOO_LATE), Ordering::Relaxed);
    }

    /// Calls the waker of a task that polls for the end of the fiber, and closes the place. The
    /// fiber is about to leave its stack. A joiner that is a fiber stays in the place.
    #[inline(always)]
    pub(crate) fn call_waker(&self) {
        if self.fiber().is_none() {
            self.call_waker_and_close();
        }
    }

    #[inline(never)]
    fn call_waker_and_close(&self) {
        // Not closed yet: the waker may let other fibers run, and one of those may poll.
        if self.word.load(Ordering::Relaxed).addr() == WAKER
            && self.exchange(word(WAKER), word(TAKING))
        {
            // SAFETY: J1: it is ours.
            let waker = unsafe { self.take_waker() };
            // Release: J2: the place is free from here on.
            self.word.store(word(NOBODY), Ordering::Release);
            waker.wake();
        }
        match self.end() {
            Some(Joiner::Waker(waker)) => waker.wake(),
            // The joiner has begun to wait on another core a moment ago. It waits until the fiber
            // has finished.
            Some(Joiner::Fiber(fiber)) => self.word.store(fiber.cast_mut(), Ordering::Relaxed),
            None => {}
        }
    }

    /// Closes the place: a later joiner learns that it is too late. Returns the joiner to notify.
    #[inline(always)]
    pub(crate) fn end(&self) -> Option<Joiner<T>> {
        let joiner = self.word.swap(word(TOO_LATE), Ordering::AcqRel);
        if joiner.addr() == WAKER {
            // SAFETY: J1: it is ours.
            return Some(Joiner::Waker(unsafe { self.take_waker() }));
        }
        (joiner.addr() > TAKING).then_some(Joiner::Fiber(joiner))
    }

    fn exchange(&self, from: *mut T, to: *mut T) -> bool {
        self.word
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
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
