//! The state of a channel with its lock, and the moves that need no lock because at most one
//! receiver waits.
//!
//! - **C1**: the shared state is accessed only by the code that has changed the word to `LOCKED`,
//!   with interrupts off, until it changes the word again. That code neither waits, nor wakes, nor
//!   calls foreign code.
//! - **C2**: a receiver whose address is in the word, or that is in the line, stays in place until
//!   it has left or is served. Whoever changes the word has taken the receiver.

use super::receiver::Receiver;
use super::ring::Ring;
use super::shared::Shared;
use super::word::{self, Word};
use crate::atomic::{AtomicPtr, spin_loop};
use crate::platform::interrupts;
use crate::sync::line::Waiter;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::ptr;
use core::sync::atomic::Ordering;

/// The state of a channel; see the [module](self).
pub(super) struct State<T, const CAP: usize> {
    word: AtomicPtr<Receiver<T>>,
    shared: UnsafeCell<Shared<T, CAP>>,
}

// SAFETY: C1, and messages go from one fiber to another.
unsafe impl<T: Send, const CAP: usize> Sync for State<T, CAP> {}

/// The outcome of [`State::take_at_once`].
pub(super) enum Taken {
    Done,
    /// The channel is open and empty, and nobody waits.
    Empty,
    /// The attempt needs the lock.
    Busy,
}

/// A guard with exclusive access to the shared state.
pub(super) struct Alone<'a, T, const CAP: usize> {
    state: &'a State<T, CAP>,
    were_enabled: bool,
}

impl<T, const CAP: usize> State<T, CAP> {
    pub(super) const fn new() -> Self {
        Self {
            word: AtomicPtr::new(word::of(0)),
            shared: UnsafeCell::new(Shared::new()),
        }
    }

    #[inline(always)]
    fn word(&self) -> Word<T> {
        self.word.load(Ordering::Relaxed)
    }

    /// Changes the word, and returns the old one, if that is `from`. Where the old word is used
    /// afterwards, the returned one saves a register.
    #[inline(always)]
    fn change(&self, from: Word<T>, to: Word<T>, order: Ordering) -> Option<Word<T>> {
        self.word
            .compare_exchange(from, to, order, Ordering::Relaxed)
            .ok()
    }

    /// Acquires the lock. Interrupts are off until the guard is dropped.
    pub(super) fn lock(&self) -> Alone<'_, T, CAP> {
        let were_enabled = interrupts::are_enabled();
        interrupts::disable();
        // Only another core can hold the lock, and only for a short time.
        loop {
            let word = self.word();
            let locked = word::locked();
            // What was read may be the address of a receiver that has gone since, in whose place there is
            // another one. So what the exchange took is used.
            if word != locked
                && let Some(word) = self.change(word, locked, Ordering::Acquire)
            {
                let mut shared = Alone {
                    state: self,
                    were_enabled,
                };
                shared.unpack(word);
                return shared;
            }
            spin_loop();
        }
    }

    /// Moves a message into the ring if nobody waits and there is room, or to the receiver that
    /// waits alone. Returns whether it did, which it may fail to do while others access the channel.
    /// It does not unwind once it has moved the message.
    ///
    /// # Safety
    ///
    /// `message` must point to a message. If the function returns true, the message was moved out.
    /// If `IN_FIBER`, interrupts must be on, in a fiber.
    #[inline(always)]
    pub(super) unsafe fn put_at_once<const IN_FIBER: bool>(&self, message: *const T) -> bool {
        let word = self.word();
        // A word that is not a number of bytes is above every such number.
        if word.addr() < Ring::<T, CAP>::BYTES {
            return self.change_ring::<IN_FIBER>(word, |ring, used| {
                let used_then = used + Ring::<T, CAP>::STEP;
                // SAFETY: the caller's promise; there is room.
                unsafe { ring.put(used, message) };
                used_then
            });
        }
        if !word::is_alone(word) {
            return false;
        }
        // Acquire: this makes visible what the receiver wrote into its node.
        let Some(word) = self.change(word, word::of(0), Ordering::AcqRel) else {
            return false;
        };
        let receiver = word::receiver_in(word);
        // SAFETY: C2.
        let slot = unsafe { &*receiver }.slot();
        // SAFETY: the caller's promise, and the receiver's: it waits, with a place for a message.
        unsafe { ptr::copy_nonoverlapping(message, slot, 1) };
        if IN_FIBER {
            // SAFETY: the exchange took it, from no line. The caller says that interrupts are on.
            unsafe { Waiter::wake_by_fiber(receiver.cast()) };
        } else {
            // SAFETY: the exchange took it, from no line.
            unsafe { Waiter::wake(receiver.cast()) };
        }
        true
    }

    /// Moves the oldest message into `slot`, if there is one and nobody waits. It may fail to do so
    /// while others access the channel.
    ///
    /// # Safety
    ///
    /// `slot` must have room for a message, which is there if the function returns [`Taken::Done`].
    /// If `IN_FIBER`, interrupts must be on, in a fiber.
    #[inline(always)]
    pub(super) unsafe fn take_at_once<const IN_FIBER: bool>(&self, slot: *mut T) -> Taken {
        let word = self.word();
        // A word of zero, or one that is not a number of bytes, is out of this range.
        if word.addr().wrapping_sub(1) < isize::MAX.cast_unsigned() {
            let is_taken = self.change_ring::<IN_FIBER>(word, |ring, used| {
                // SAFETY: the caller's promise; there is a message.
                unsafe { ring.take(slot) };
                used - Ring::<T, CAP>::STEP
            });
            if is_taken { Taken::Done } else { Taken::Busy }
        } else if word.is_null() {
            Taken::Empty
        } else {
            Taken::Busy
        }
    }

    /// Calls `change` with the state locked, if the word is still `from`, with the bytes that are
    /// in use, and stores what it returns as the new number. Returns whether it did.
    #[inline(always)]
    fn change_ring<const IN_FIBER: bool>(
        &self,
        from: Word<T>,
        change: impl FnOnce(&mut Ring<T, CAP>, usize) -> usize,
    ) -> bool {
        let were_enabled = IN_FIBER || interrupts::are_enabled();
        interrupts::disable();
        let word = self.change(from, word::locked(), Ordering::Acquire);
        if let Some(word) = word {
            // SAFETY: C1.
            let shared = unsafe { &mut *self.shared.get() };
            let used = change(&mut shared.ring, word.addr());
            self.word.store(word::of(used), Ordering::Release);
        }
        if were_enabled {
            interrupts::enable();
        }
        word.is_some()
    }

    /// Enters a receiver as the only waiter, if the channel is open and empty and nobody waits.
    /// Returns whether it did.
    ///
    /// # Safety
    ///
    /// The receiver is in no line, and **C2** must hold for it.
    #[inline(always)]
    pub(super) unsafe fn enter_alone(&self, receiver: *const Receiver<T>) -> bool {
        // Release: this publishes the content of the node.
        self.change(word::of(0), word::alone(receiver), Ordering::Release)
            .is_some()
    }

    /// Takes a receiver out that has waited, and that may no longer be alone. Returns whether it
    /// did. Otherwise the receiver was taken out by others.
    ///
    /// # Safety
    ///
    /// The receiver must have entered.
    pub(super) unsafe fn leave_receivers(&self, receiver: *const Receiver<T>) -> bool {
        // Acquire: others may have accessed the node until the receiver was alone.
        let alone = word::alone(receiver);
        if self.change(alone, word::of(0), Ordering::Acquire).is_some() {
            return true;
        }
        // SAFETY: C2.
        let waiter = unsafe { &(*receiver).waiter };
        let shared = self.lock();
        let is_in_line = waiter.is_in_line();
        if is_in_line {
            shared.receivers.remove(waiter);
        }
        is_in_line
    }

    /// Takes a sender out of the line. Returns whether it did. Otherwise it was taken out by others.
    pub(super) fn leave_senders(&self, waiter: &Waiter) -> bool {
        let shared = self.lock();
        let is_in_line = waiter.is_in_line();
        if is_in_line {
            shared.senders.remove(waiter);
        }
        is_in_line
    }
}

impl<T, const CAP: usize> Drop for State<T, CAP> {
    fn drop(&mut self) {
        let word = self.word();
        let ring = &mut self.shared.get_mut().ring;
        if let Some(used) = word::plain(word) {
            ring.used = used;
        } else if word != word::busy() {
            // A fiber failed while it accessed the ring, so the messages are lost.
            ring.used = 0;
        }
    }
}

impl<T, const CAP: usize> Deref for Alone<'_, T, CAP> {
    type Target = Shared<T, CAP>;

    fn deref(&self) -> &Shared<T, CAP> {
        // SAFETY: C1.
        unsafe { &*self.state.shared.get() }
    }
}

impl<T, const CAP: usize> DerefMut for Alone<'_, T, CAP> {
    fn deref_mut(&mut self) -> &mut Shared<T, CAP> {
        // SAFETY: C1.
        unsafe { &mut *self.state.shared.get() }
    }
}

impl<T, const CAP: usize> Drop for Alone<'_, T, CAP> {
    fn drop(&mut self) {
        let word = self.pack();
        self.state.word.store(word, Ordering::Release);
        if self.were_enabled {
            interrupts::enable();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
