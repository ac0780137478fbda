//! The notification at the end of a fiber: one word, and room for a waker.
//!
//! ```text
//!   NOBODY ◄──► a fiber's header         by the holder of the join handle
//!   NOBODY ◄──► WAKER, in its place      by the same holder
//!   any ──────► TOO_LATE                 when the fiber ends, once
//! ```
//!
//! - **J1**: there is a waker in its place while the word is WAKER. Whoever changes the word from
//!   WAKER owns the waker.

use super::header::Header;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use core::task::Waker;

const NOBODY: *mut Header = ptr::null_mut();
const WAKER: *mut Header = ptr::without_provenance_mut(1);
const TOO_LATE: *mut Header = ptr::without_provenance_mut(2);

/// The recipient of the notification.
pub(crate) enum Joiner {
    Fiber(*const Header),
    Waker(Waker),
}

/// The place of a joiner; see the [module](self). Zeroed bytes are an empty place.
pub(crate) struct JoinerPlace {
    word: AtomicPtr<Header>,
    waker: UnsafeCell<MaybeUninit<Waker>>,
}

impl JoinerPlace {
    pub(crate) const fn new() -> Self {
        Self {
            word: AtomicPtr::new(NOBODY),
            waker: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Resets the place for a new fiber. The previous fiber has closed it.
    #[inline(always)]
    pub(crate) fn begin(&self) {
        self.word.store(NOBODY, Ordering::Relaxed);
    }

    /// Sets the joiner to notify, instead of the previous one. Returns it if it is too late,
    /// because the fiber is ending.
    ///
    /// Only the holder of the join handle may call this function, one call at a time.
    #[inline]
    pub(crate) fn set(&self, joiner: Joiner) -> Result<(), Joiner> {
        if let Joiner::Fiber(fiber) = joiner
            && self.exchange(NOBODY, fiber.cast_mut()).is_ok()
        {
            return Ok(());
        }
        self.replace(joiner)
    }

    #[cold]
    #[inline(never)]
    fn replace(&self, joiner: Joiner) -> Result<(), Joiner> {
        if !self.clear() {
            return Err(joiner);
        }
        let word = match joiner {
            Joiner::Fiber(fiber) => fiber.cast_mut(),
            Joiner::Waker(waker) => {
                // SAFETY: the word is not WAKER, and nobody else makes it so.
                unsafe { (*self.waker.get()).write(waker) };
                WAKER
            }
        };
        match self.exchange(NOBODY, word) {
            Ok(_) => Ok(()),
            // SAFETY: J1: it was put there above, and the word never said so.
            Err(_) if word == WAKER => Err(Joiner::Waker(unsafe { self.take_waker() })),
            Err(_) => Err(Joiner::Fiber(word)),
        }
    }

    /// Removes the waker, if there is one. Its destructor runs inside of this call.
    #[inline(always)]
    pub(crate) fn drop_waker(&self) {
        if self.word.load(Ordering::Relaxed) == WAKER {
            let _is_late = self.clear();
        }
    }

    /// Removes the joiner. Returns false if it is too late.
    pub(crate) fn clear(&self) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        if word == NOBODY {
            return true;
        }
        if word == TOO_LATE || self.exchange(word, NOBODY).is_err() {
            return false;
        }
        if word == WAKER {
            // SAFETY: J1: it is ours.
            drop(unsafe { self.take_waker() });
        }
        true
    }

    /// Returns the joiner if it is a fiber.
    #[inline(always)]
    pub(crate) fn fiber(&self) -> Option<*const Header> {
        let word = self.word.load(Ordering::Relaxed);
        (word.addr() > TOO_LATE.addr()).then_some(word.cast_const())
    }

    /// Closes the place: a later joiner learns that it is too late. A joiner that was there has
    /// been notified already.
    #[inline(always)]
    pub(crate) fn close(&self) {
        self.word.store(TOO_LATE, Ordering::Relaxed);
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
        if self.word.load(Ordering::Relaxed) == WAKER && self.exchange(WAKER, NOBODY).is_ok() {
            // SAFETY: J1: it is ours.
            unsafe { self.take_waker() }.wake();
        }
        match self.end() {
            Some(Joiner::Waker(waker)) => waker.wake(),
            // The joiner has begun to wait on another core a moment ago. It waits until the fiber
            // has finished.
            Some(Joiner::Fiber(fiber)) => self.word.store(fiber.cast_mut(), Ordering::Relaxed),
            None => {}
        }
    }

    /// Closes the place like [`close`](Self::close), and returns the joiner to notify.
    #[inline(always)]
    pub(crate) fn end(&self) -> Option<Joiner> {
        let word = self.word.swap(TOO_LATE, Ordering::AcqRel);
        if word == WAKER {
            // SAFETY: J1: it is ours.
            return Some(Joiner::Waker(unsafe { self.take_waker() }));
        }
        (word.addr() > TOO_LATE.addr()).then_some(Joiner::Fiber(word))
    }

    fn exchange(&self, from: *mut Header, to: *mut Header) -> Result<*mut Header, *mut Header> {
        self.word
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
    }

    /// Takes the waker out of its place.
    ///
    /// # Safety
    ///
    /// There must be a waker, which the caller owns (**J1**).
    unsafe fn take_waker(&self) -> Waker {
        // SAFETY: the caller's promise.
        let place = unsafe { &*self.waker.get() };
        // SAFETY: the caller's promise.
        unsafe { place.assume_init_read() }
    }
}
