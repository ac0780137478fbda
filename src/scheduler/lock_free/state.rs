//! The state word of a fiber: what it is doing, and whether somebody woke it, with the generation of its id.
//!
//! ```text
//!                    park()
//!   RUNNING or READY ──────► PARKED        WAKE was set before: it goes on at once
//!          ▲                   │
//!          └───────────────────┘
//!            wake(): the one that sets WAKE first sees to it that the owner enqueues
//! ```
//!
//! Whoever wakes a fiber sets bits, and, if the fiber is parked and was not woken yet, puts it into the inbox. Only the
//! owner of the run loop takes it out, and the owner is the one who was about to leave the fiber's stack: so no fiber runs
//! before its registers are stored, nobody waits, and no wake is lost.
//! The low half of the word holds the bits, the high half the generation, so that one compare-exchange checks both.

use crate::atomic::{AtomicU64, Ordering};

/// The fiber waits. Until the owner has switched to another, it is still on its stack.
const PARKED: u64 = 2;
/// Somebody woke the fiber since it last waited.
const WAKE: u64 = 4;
/// The token of `park`, with the contract of `std::thread::park`.
const TOKEN: u64 = 8;
/// A waker of `block_on` was called.
const NOTIFIED: u64 = 16;
/// The fiber is asked to end.
const CANCELLED: u64 = 32;
/// The closure has returned, and the result is in place.
const FINISHED: u64 = 64;
/// There is no join handle any more.
const DETACHED: u64 = 128;
/// The fiber panicked or faulted, and is being ended, or was. Its closure never returns, and nobody lives there again.
#[cfg(not(loom))]
const FAILED: u64 = 256;
/// The closure has returned, and the result, if it has a destructor, is in its place.
const RETURNED: u64 = 1024;
/// Somebody looks at a fiber that has finished, for a few instructions; its cell is not given back before that is over.
const LOOKED_AT: u64 = 512;

/// The destructor of the result runs, in place: if it does not come to an end, the cell is lost.
#[cfg(not(loom))]
const IN_DESTRUCTOR: u64 = 2048;

const GENERATION_SHIFT: u32 = 32;

/// What a wake means for the one who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Woken {
    /// The fiber waited: put it into the ready queue, once.
    Enqueue,
    /// It runs, is about to notice, or was woken already: nothing to do.
    Nothing,
    /// The id is of a fiber that has ended.
    Stale,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct State(AtomicU64);

impl State {
    /// A word that belongs to no fiber yet.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The generation of the fiber that has, or last had, this word.
    pub(crate) fn generation(&self) -> u32 {
        generation(self.0.load(Ordering::Relaxed))
    }

    /// Begins a new fiber: the next generation; ids of the last one are stale from here on. It waits, woken, as one that
    /// is about to go through an inbox, or, if `is_ready`, has no bits.
    pub(crate) fn begin(&self, is_ready: bool) -> u32 {
        let next = generation(self.0.load(Ordering::Relaxed)).wrapping_add(1);
        let bits = if is_ready { 0 } else { PARKED | WAKE };
        self.0.store(
            u64::from(next) << GENERATION_SHIFT | bits,
            Ordering::Release,
        );
        next
    }

    /// The fiber decides to wait. Returns false, and takes the wake, if it was woken since it last waited.
    #[inline(always)]
    #[must_use]
    pub(crate) fn park(&self) -> bool {
        // The bit is clear, so adding sets it, in one instruction that also returns what was there.
        let before = self.0.fetch_add(PARKED, Ordering::AcqRel);
        if before & WAKE == 0 {
            return true;
        }
        // A wake may have come since the line above, and left nothing else to notice: what its maker wrote is visible after
        // this.
        self.0.fetch_sub(PARKED | WAKE, Ordering::Acquire);
        false
    }

    /// Wakes a fiber that is known to be alive.
    #[inline]
    pub(crate) fn wake(&self) -> Woken {
        let mut current = self.0.load(Ordering::Relaxed);
        loop {
            match self.0.compare_exchange_weak(
                current,
                current | WAKE,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return woken(current),
                Err(seen) => current = seen,
            }
        }
    }

    /// Wakes a fiber that is known to be alive and that the caller, its owner, will enqueue itself.
    /// Returns true if it waited; it is then ready.
    #[inline]
    #[must_use]
    pub(crate) fn wake_as_owner(&self) -> bool {
        // In this form it is one instruction.
        if self.0.fetch_or(WAKE, Ordering::AcqRel) & WAKE != 0 {
            return false;
        }
        // We were the first, so nobody else enqueues it; and PARKED is set and cleared by the owner alone.
        let is_parked = self.0.load(Ordering::Relaxed) & PARKED != 0;
        if is_parked {
            self.0.fetch_sub(PARKED | WAKE, Ordering::Acquire);
        }
        is_parked
    }

    /// The owner takes a fiber out of the inbox that a [`Woken::Enqueue`] put there.
    #[inline]
    pub(crate) fn unpark_from_inbox(&self) {
        self.0.fetch_sub(PARKED | WAKE, Ordering::Acquire);
    }

    /// Sets a bit and wakes, if this is still the fiber of that generation and it has not ended.
    fn signal(&self, of: u32, bit: u64) -> Woken {
        let mut current = self.0.load(Ordering::Relaxed);
        loop {
            if generation(current) != of || current & FINISHED != 0 {
                return Woken::Stale;
            }
            let next = current | bit | WAKE;
            match self
                .0
                .compare_exchange_weak(current, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return woken(current),
                Err(seen) => current = seen,
            }
        }
    }

    /// Gives the token of `park`.
    pub(crate) fn give_token(&self, generation: u32) -> Woken {
        self.signal(generation, TOKEN)
    }

    /// Tells a fiber in `block_on` to poll again.
    pub(crate) fn notify(&self, generation: u32) -> Woken {
        self.signal(generation, NOTIFIED)
    }

    /// Asks the fiber to end.
    pub(crate) fn cancel(&self, generation: u32) -> Woken {
        self.signal(generation, CANCELLED)
    }

    /// Takes the token of `park`; returns whether it was there.
    #[must_use]
    pub(crate) fn take_token(&self) -> bool {
        self.take(TOKEN)
    }

    /// Takes the notification of `block_on`; returns whether it was there.
    #[must_use]
    pub(crate) fn take_notification(&self) -> bool {
        self.take(NOTIFIED)
    }

    fn take(&self, bit: u64) -> bool {
        self.0.load(Ordering::Relaxed) & bit != 0
            && self.0.fetch_and(!bit, Ordering::Acquire) & bit != 0
    }

    /// For a run loop's root: asks for a look at the sleep queue. Returns whether root is to be put into the inbox.
    #[must_use]
    pub(crate) fn request_timer_check(&self) -> bool {
        self.0.fetch_or(NOTIFIED, Ordering::AcqRel) & (NOTIFIED | TOKEN) == 0
    }

    /// For a run loop's root: says whether it was asked for a look at the sleep queue, and has not looked yet.
    #[cfg(not(loom))]
    pub(crate) fn has_timer_request(&self) -> bool {
        self.0.load(Ordering::Relaxed) & NOTIFIED != 0
    }

    /// For a run loop's root: says whether it is in the inbox, or about to be.
    #[cfg(target_os = "none")]
    pub(crate) fn has_requests(&self) -> bool {
        self.0.load(Ordering::Relaxed) & (NOTIFIED | TOKEN) != 0
    }

    /// For a run loop's root: leaves a note that is gone when the loop has looked into its inbox. Returns whether root is to
    /// be put there.
    #[must_use]
    pub(crate) fn leave_note(&self) -> bool {
        self.0.fetch_or(TOKEN, Ordering::AcqRel) & (NOTIFIED | TOKEN) == 0
    }

    /// Whether there is no note any more.
    pub(crate) fn has_read_note(&self) -> bool {
        self.0.load(Ordering::Relaxed) & TOKEN == 0
    }

    /// The owner looks now. A later request counts again. Returns whether it was asked to look at the sleep queue.
    pub(crate) fn take_requests(&self) -> bool {
        self.0.fetch_and(!(NOTIFIED | TOKEN), Ordering::AcqRel) & NOTIFIED != 0
    }

    /// Says whether the fiber waits, and nobody woke it yet.
    pub(crate) fn is_parked(&self) -> bool {
        woken(self.0.load(Ordering::Relaxed)) == Woken::Enqueue
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed) & CANCELLED != 0
    }

    /// Says whether the fiber waits, or is in an inbox: then it is in no ring. For the owner, in another fiber.
    pub(crate) fn is_waiting(&self) -> bool {
        self.0.load(Ordering::Relaxed) & PARKED != 0
    }

    /// The result is in its place. Returns whether the fiber was detached before: then nobody will take it, and the fiber is
    /// to drop it. From here on whoever drops the handle does that.
    #[inline(always)]
    #[must_use]
    pub(crate) fn has_returned(&self) -> bool {
        // The bit is clear: see `park`.
        self.0.fetch_add(RETURNED, Ordering::AcqRel) & DETACHED != 0
    }

    /// The join handle goes, unless the result is there: then it is the caller's to drop first, and this returns false.
    #[must_use]
    pub(crate) fn detach_before_return(&self) -> bool {
        let mut current = self.0.load(Ordering::Acquire);
        while current & RETURNED == 0 {
            match self.0.compare_exchange_weak(
                current,
                current | DETACHED,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(seen) => current = seen,
            }
        }
        false
    }

    /// The fiber has left its stack. Returns whether it was detached before: then nobody else gives its cell back.
    pub(crate) fn finish(&self) -> bool {
        // The bit is clear: see `park`.
        self.0.fetch_add(FINISHED, Ordering::AcqRel) & DETACHED != 0
    }

    /// Says whether the closure has returned, and what it wrote is visible.
    pub(crate) fn is_finished(&self) -> bool {
        self.0.load(Ordering::Acquire) & FINISHED != 0
    }

    /// The join handle is gone. Returns whether the fiber had finished before: then the caller gives its cell back.
    #[inline(always)]
    pub(crate) fn detach(&self) -> bool {
        // The bit is clear: see `park`. There is one handle.
        let before = self.0.fetch_add(DETACHED, Ordering::AcqRel);
        // On the bare machine a look has the only core for itself.
        if !cfg!(target_os = "none") && before & LOOKED_AT != 0 {
            self.await_end_of_look();
        }
        before & FINISHED != 0
    }

    #[cold]
    #[inline(never)]
    fn await_end_of_look(&self) {
        while self.0.load(Ordering::Acquire) & LOOKED_AT != 0 {
            crate::atomic::spin_loop();
        }
    }

    /// Keeps the cell of a fiber that has finished from being given back, until [`end_look`](Self::end_look). Returns false
    /// if it has not finished, or nobody will take its result. For the owner, with interrupts off.
    #[must_use]
    pub(crate) fn begin_look(&self) -> bool {
        let mut current = self.0.load(Ordering::Relaxed);
        while current & (FINISHED | DETACHED) == FINISHED {
            match self.0.compare_exchange_weak(
                current,
                current | LOOKED_AT,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(seen) => current = seen,
            }
        }
        false
    }

    /// Whether somebody is between [`begin_look`](Self::begin_look) and [`end_look`](Self::end_look).
    pub(crate) fn is_looked_at(&self) -> bool {
        self.0.load(Ordering::Relaxed) & LOOKED_AT != 0
    }

    /// Ends what [`begin_look`](Self::begin_look) began.
    pub(crate) fn end_look(&self) {
        self.0.fetch_and(!LOOKED_AT, Ordering::Release);
    }

    /// The fiber is being ended by a failure. Returns whether it was already.
    #[cfg(not(loom))]
    pub(crate) fn fail(&self) -> bool {
        self.0.fetch_or(FAILED, Ordering::AcqRel) & FAILED != 0
    }

    /// The destructor of the result begins to run, or has come to an end.
    #[cfg(not(loom))]
    pub(crate) fn set_in_destructor(&self, is_in: bool) {
        if is_in {
            self.0.fetch_or(IN_DESTRUCTOR, Ordering::Relaxed);
        } else {
            self.0.fetch_and(!IN_DESTRUCTOR, Ordering::Relaxed);
        }
    }

    /// Says whether the cell cannot be used again: its fiber fails or has failed, or the destructor of its result runs, or ended in
    /// a failure.
    #[cfg(not(loom))]
    pub(crate) fn is_lost(&self) -> bool {
        self.0.load(Ordering::Relaxed) & (FAILED | IN_DESTRUCTOR) != 0
    }

    /// Says whether a failure ends the fiber, or has.
    #[cfg(not(loom))]
    pub(crate) fn is_failed(&self) -> bool {
        self.0.load(Ordering::Relaxed) & FAILED != 0
    }

    /// Says whether there is no join handle any more.
    #[cfg(loom)]
    pub(crate) fn is_detached(&self) -> bool {
        self.0.load(Ordering::Relaxed) & DETACHED != 0
    }
}

const fn generation(word: u64) -> u32 {
    (word >> GENERATION_SHIFT) as u32
}

const fn woken(before: u64) -> Woken {
    if before & (PARKED | WAKE) == PARKED {
        Woken::Enqueue
    } else {
        Woken::Nothing
    }
}
