//! The state word of a fiber: what the fiber is doing, whether it was woken, and the generation of
//! its id.
//!
//! ```text
//!                    park()                wake() by others
//!   RUNNING or READY ──────► PARKED ───────────────────────────► PARKED and POSTED
//!          ▲                   │                                      │
//!          ├───────────────────┘                                      │
//!          │   wake_as_owner(): the owner enqueues the fiber          │
//!          └──────────────────────────────────────────────────────────┘
//!              the owner takes the fiber out of the inbox and enqueues it
//! ```
//!
//! Code that wakes a fiber sets one of two bits. If the fiber is parked and was not woken yet, the
//! code sets POSTED, and puts the fiber into the inbox. Otherwise it sets WAKE, and a fiber that
//! finds WAKE when it parks continues at once.
//!
//! - **S1**: only the owner of the run loop sets and clears PARKED, and only the owner clears POSTED.
//! - **S2**: others set POSTED only if PARKED alone is set. So WAKE without POSTED beside PARKED was
//!   set before the fiber parked.
//! - **S3**: whoever changes PARKED from set to clear while POSTED is clear enqueues the fiber, and
//!   so does the owner that takes it out of the inbox. Nobody else does.
//!
//! Only the owner of the run loop takes the fiber out of the inbox, and the owner is the one that was
//! about to leave the fiber's stack. Therefore no fiber runs before its registers are stored, nobody
//! has to wait, and no wake-up is lost. The low half of the word holds the bits, and the high half
//! the generation, so that one compare-exchange checks both.

#[cfg(any(feature = "smp", loom))]
mod cores;
mod look;
mod requests;
mod wake;

use crate::atomic::{AtomicU64, Bits as _, IS_ONE_CORE, Ordering};

/// The fiber waited and was woken by somebody who is not the owner. It is in the inbox, or about to
/// be.
const POSTED: u64 = 1;
/// The fiber waits. It is still on its stack until the owner has switched to another fiber.
const PARKED: u64 = 2;
/// The fiber was woken since it last waited, while it did not wait.
const WAKE: u64 = 4;
/// The token of `park`, with the contract of `std::thread::park`.
pub(crate) const TOKEN: u64 = 8;
/// A waker of `block_on` was called.
pub(crate) const NOTIFIED: u64 = 16;
/// The fiber was cancelled.
pub(crate) const CANCELLED: u64 = 32;
/// The closure has returned, and the result is in place.
const FINISHED: u64 = 64;
/// There is no join handle any more.
const DETACHED: u64 = 128;
/// The fiber has panicked or faulted, and is being ended or has ended. Its closure never returns,
/// and its cell is not used again.
const FAILED: u64 = 256;
/// The closure has returned, and the result, if it has a destructor, is in its place.
const RETURNED: u64 = 1024;
/// Somebody examines a finished fiber, for a few instructions. Its cell is not freed before that
/// is over.
const LOOKED_AT: u64 = 512;

/// The destructor of the result runs, in place. If it does not complete, the cell is lost.
#[cfg(not(loom))]
const IN_DESTRUCTOR: u64 = 2048;
const GENERATION_SHIFT: u32 = 32;

/// What the owner clears when it takes a fiber out of the inbox: see
/// [`unpark_from_inbox`](State::unpark_from_inbox).
pub(crate) const FROM_INBOX: u64 = PARKED | POSTED | WAKE;

/// What the caller that wakes a fiber has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Woken {
    /// The fiber waited: the caller must put it into the ready queue, once.
    Enqueue,
    /// The fiber runs, is about to notice the wake-up, or was woken already. Nothing has to be
    /// done.
    Nothing,
    /// The id belongs to a fiber that has ended.
    Stale,
}

/// How far a fiber has come.
#[cfg(not(loom))]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has not ended yet.
    Runs,
    /// Its closure has returned, and it has left its stack.
    Returned,
    /// A failure has ended it.
    Failed,
}

/// A state word; see the [module](self).
#[derive(Debug)]
pub(crate) struct State(AtomicU64);

impl State {
    /// Creates a word that belongs to no fiber yet.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Returns the generation of the fiber that has this word, or had it last.
    pub(crate) fn generation(&self) -> u32 {
        generation(self.0.load(Ordering::Relaxed))
    }

    /// Makes this the word of a cell that is free and had no fiber yet.
    #[cfg(not(loom))]
    pub(crate) fn found(&self) {
        self.0.store(FINISHED | DETACHED, Ordering::Relaxed);
    }

    /// Begins a new fiber with the next generation, and returns the generation. The ids of the
    /// previous fiber become stale. If `is_ready`, no bits are set. Otherwise the fiber waits and
    /// was woken, like one that is in an inbox.
    #[cfg(any(not(feature = "smp"), loom))]
    pub(crate) fn begin(&self, is_ready: bool) -> u32 {
        let next = generation(self.0.load(Ordering::Relaxed)).wrapping_add(1);
        let bits = if is_ready { 0 } else { PARKED | POSTED };
        self.0.store(
            u64::from(next) << GENERATION_SHIFT | bits,
            Ordering::Release,
        );
        next
    }

    /// Makes a fiber that has just begun, and that nobody knows yet, one that waits and was woken.
    #[cfg(not(any(feature = "smp", loom)))]
    pub(crate) fn begin_in_inbox(&self) {
        self.0.set::<{ PARKED | POSTED }>(Ordering::Release);
    }

    /// Makes the fiber wait. If it was woken since it last waited, consumes the wake-up and returns
    /// false.
    #[inline(always)]
    #[must_use]
    pub(crate) fn park(&self) -> bool {
        // The bit is clear, so an addition sets it.
        self.0.add::<PARKED>(Ordering::AcqRel);
        !self.0.has_any::<WAKE>() || self.stays_parked(|| false)
    }

    /// Behaves like [`park`](Self::park), but returns false also if the fiber was cancelled and
    /// `is_to_end`, which is asked only then, returns true.
    #[inline(always)]
    #[must_use]
    pub(crate) fn park_unless_cancelled(&self, is_to_end: impl FnOnce() -> bool) -> bool {
        // As in `park`.
        self.0.add::<PARKED>(Ordering::AcqRel);
        !self.0.has_any::<{ WAKE | CANCELLED }>() || self.stays_parked(is_to_end)
    }

    #[cold]
    #[inline(never)]
    fn stays_parked(&self, is_to_end: impl FnOnce() -> bool) -> bool {
        let word = self.0.load(Ordering::Relaxed);
        if word & POSTED != 0 {
            return true;
        }
        if word & WAKE != 0 {
            // By S2 the fiber was woken before it parked, and is in no inbox. What the waking code
            // wrote is visible after this.
            self.0.clear::<{ PARKED | WAKE }>(Ordering::Acquire);
            return false;
        }
        // If somebody else wakes the fiber first while it is parked, it is in the inbox by now.
        !is_to_end() || !self.wake_as_owner()
    }

    /// Records that the owner has taken the fiber out of the inbox, into which a [`Woken::Enqueue`]
    /// had put it.
    #[inline]
    pub(crate) fn unpark_from_inbox(&self) {
        #[cfg(any(feature = "smp", loom))]
        if self.end_move() {
            return;
        }
        // The fiber may have been woken again meanwhile, with nothing left to notice.
        self.0.clear::<FROM_INBOX>(Ordering::Acquire);
    }

    /// Sets a bit and wakes the fiber, if it still has that generation and has not ended.
    #[inline(always)]
    pub(crate) fn signal(&self, of: u32, bit: u64) -> Woken {
        let current = self.0.load(Ordering::Relaxed);
        if generation(current) != of {
            return Woken::Stale;
        }
        // One that has ended does not wait.
        if waits(current) && self.exchange(current, current | bit | POSTED).is_ok() {
            return Woken::Enqueue;
        }
        self.signal_slowly(of, bit)
    }

    /// The slow path of [`signal`](Self::signal), in which the fiber does not wait, or is changed by
    /// others.
    #[inline(never)]
    fn signal_slowly(&self, of: u32, bit: u64) -> Woken {
        let mut current = self.0.load(Ordering::Relaxed);
        loop {
            if generation(current) != of || current & FINISHED != 0 {
                return Woken::Stale;
            }
            let (next, woken) = after_wake(current);
            match self.exchange(current, next | bit) {
                Ok(_) => return woken,
                Err(seen) => current = seen,
            }
        }
    }

    /// Provides the token of `park`.
    #[cfg(loom)]
    pub(crate) fn give_token(&self, generation: u32) -> Woken {
        self.signal(generation, TOKEN)
    }

    /// Cancels the fiber.
    #[cfg(loom)]
    pub(crate) fn cancel(&self, generation: u32) -> Woken {
        self.signal(generation, CANCELLED)
    }

    /// Takes the token of `park`. Returns whether it was there.
    #[must_use]
    pub(crate) fn take_token(&self) -> bool {
        self.take::<TOKEN>()
    }

    /// Behaves like [`take_token`](Self::take_token), for a fiber that was woken, probably by the token.
    #[inline(always)]
    #[must_use]
    pub(crate) fn take_token_when_woken(&self) -> bool {
        if IS_ONE_CORE {
            return self.0.take_aside::<TOKEN>(Ordering::Acquire);
        }
        self.take_token()
    }

    /// Takes the notification of `block_on`. Returns whether it was there.
    #[must_use]
    pub(crate) fn take_notification(&self) -> bool {
        self.take::<NOTIFIED>()
    }

    fn take<const BIT: u64>(&self) -> bool {
        self.0.has_any::<BIT>() && self.0.take::<BIT>(Ordering::Acquire)
    }

    /// Returns whether the fiber waits and was not woken yet.
    pub(crate) fn is_parked(&self) -> bool {
        waits(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed) & CANCELLED != 0
    }

    /// Returns whether the fiber waits or is in an inbox, and so in no ring. Only the owner may
    /// call this, in another fiber.
    pub(crate) fn is_waiting(&self) -> bool {
        self.0.load(Ordering::Relaxed) & PARKED != 0
    }

    /// Records that the result is in its place. Returns whether the fiber was detached before. If
    /// so, nobody takes the result, and the fiber must drop it. Otherwise, whoever drops the handle
    /// from now on drops the result.
    #[inline(always)]
    #[must_use]
    pub(crate) fn has_returned(&self) -> bool {
        // The bit is clear: see `park`.
        self.0.fetch_add(RETURNED, Ordering::AcqRel) & DETACHED != 0
    }

    /// Detaches the fiber, unless the result is in its place. In that case, returns false: the
    /// caller has to drop the result first.
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

    /// Records that the fiber has left its stack. Returns whether it was detached before. If so,
    /// nobody else frees its cell.
    pub(crate) fn finish(&self) -> bool {
        // The bit is clear: see `park`.
        self.0.fetch_add(FINISHED, Ordering::AcqRel) & DETACHED != 0
    }

    /// Returns how far the fiber has come. Everything that it wrote before its end is then visible.
    #[cfg(not(loom))]
    #[inline(always)]
    pub(crate) fn progress(&self) -> Progress {
        let word = self.0.load(Ordering::Acquire);
        match (word & FINISHED, word & FAILED) {
            (0, _) => Progress::Runs,
            (_, 0) => Progress::Returned,
            _ => Progress::Failed,
        }
    }

    /// Returns whether the closure has returned. Everything that the closure wrote is then visible.
    pub(crate) fn is_finished(&self) -> bool {
        self.0.load(Ordering::Acquire) & FINISHED != 0
    }

    /// Records that the join handle is gone. Returns whether the fiber had finished before, and did
    /// not fail. If so, the caller must free its cell.
    #[inline(always)]
    pub(crate) fn detach(&self) -> bool {
        if IS_ONE_CORE {
            // The fiber does not end between the two.
            self.0.add::<DETACHED>(Ordering::AcqRel);
            return self.0.load(Ordering::Acquire) & (FINISHED | FAILED) == FINISHED;
        }
        // The bit is clear: see `park`. There is only one handle.
        let before = self.0.fetch_add(DETACHED, Ordering::AcqRel);
        // With one core on the bare machine no examination can be in progress here.
        if cfg!(any(target_os = "linux", feature = "smp")) && before & LOOKED_AT != 0 {
            self.await_end_of_look();
        }
        before & (FINISHED | FAILED) == FINISHED
    }

    /// Records that a failure ends the fiber. Returns whether it was recorded already.
    #[cfg(not(loom))]
    pub(crate) fn fail(&self) -> bool {
        self.0.fetch_or(FAILED, Ordering::AcqRel) & FAILED != 0
    }

    /// Records that the destructor of the result begins to run, or has completed.
    #[cfg(not(loom))]
    pub(crate) fn set_in_destructor(&self, is_in: bool) {
        if is_in {
            self.0.set::<IN_DESTRUCTOR>(Ordering::Relaxed);
        } else {
            self.0.clear::<IN_DESTRUCTOR>(Ordering::Relaxed);
        }
    }

    /// Returns whether the cell cannot be used again: its fiber fails or has failed, or the
    /// destructor of its result runs or has failed.
    #[cfg(not(loom))]
    pub(crate) fn is_lost(&self) -> bool {
        self.0.load(Ordering::Relaxed) & (FAILED | IN_DESTRUCTOR) != 0
    }

    /// Returns whether a failure ends the fiber, or has ended it.
    #[cfg(not(loom))]
    pub(crate) fn is_failed(&self) -> bool {
        self.0.load(Ordering::Relaxed) & FAILED != 0
    }

    /// Returns whether there is no join handle any more.
    #[cfg(loom)]
    pub(crate) fn is_detached(&self) -> bool {
        self.0.load(Ordering::Relaxed) & DETACHED != 0
    }
}

const fn generation(word: u64) -> u32 {
    (word >> GENERATION_SHIFT) as u32
}

/// Returns whether the word says that the fiber waits and was not woken yet.
const fn waits(word: u64) -> bool {
    word & (PARKED | POSTED | WAKE) == PARKED
}

/// Returns the word after somebody who is not the owner has woken the fiber, and what is to be done.
const fn after_wake(before: u64) -> (u64, Woken) {
    if waits(before) {
        (before | POSTED, Woken::Enqueue)
    } else {
        (before | WAKE, Woken::Nothing)
    }
}
