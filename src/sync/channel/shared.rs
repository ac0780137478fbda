//! The state that the fibers at a channel share, and the two moves: one message in, one message
//! out.

use super::ring::Ring;
use crate::sync::line::{Line, Served, Waiter};
use core::ptr;

/// The state that the lock of a channel protects.
pub(super) struct Shared<T, const CAP: usize> {
    pub(super) ring: Ring<T, CAP>,
    /// Whether the channel is open and no fiber waits. A message then needs only the ring.
    pub(super) is_plain: bool,
    pub(super) is_closed: bool,
    /// The fibers that wait for room. The note of each points to its message, and is null once the
    /// message was taken.
    pub(super) senders: Line,
    /// The fibers that wait for a message. The note of each points to the slot for the message, and
    /// is null once the message is there.
    pub(super) receivers: Line,
}

/// The outcome of an attempt.
pub(super) enum Attempt {
    Done,
    /// The attempt succeeded. This waiter was taken out of its line and must be woken.
    Served(*const Waiter),
    Wait,
    Closed,
}

impl Attempt {
    /// Wakes the waiter that the attempt served. The caller must hold no lock.
    #[inline(always)]
    pub(super) fn wake(&self) {
        if let Self::Served(waiter) = self {
            // SAFETY: it was taken out, and is woken once.
            unsafe { Waiter::wake(*waiter) };
        }
    }
}

impl<T, const CAP: usize> Shared<T, CAP> {
    pub(super) const fn new() -> Self {
        Self {
            ring: Ring::new(),
            is_plain: true,
            is_closed: false,
            senders: Line::new(),
            receivers: Line::new(),
        }
    }

    /// Updates `is_plain`. It must be called whenever a line or `is_closed` has changed.
    #[inline(always)]
    pub(super) const fn look_again(&mut self) {
        self.is_plain = !self.is_closed && self.senders.is_empty() && self.receivers.is_empty();
    }

    pub(super) fn leave_senders(&mut self, waiter: &Waiter) -> Served {
        self.senders.remove(waiter);
        self.look_again();
        Served::nobody()
    }

    pub(super) fn leave_receivers(&mut self, waiter: &Waiter) -> Served {
        self.receivers.remove(waiter);
        self.look_again();
        Served::nobody()
    }

    /// Moves the message of a failed receiver to another receiver, or back to the front of the
    /// ring. If there is no room, the message is lost.
    ///
    /// # Safety
    ///
    /// The slot must contain a message, which is no longer used there.
    pub(super) unsafe fn put_back(&mut self, slot: *const T) -> Attempt {
        if !self.receivers.is_empty() && !self.is_closed {
            // SAFETY: the caller's promise.
            return unsafe { self.put(slot) };
        }
        if self.ring.has_room() {
            // SAFETY: the caller's promise; there is room.
            unsafe { self.ring.push_front(slot) };
        }
        Attempt::Done
    }

    /// Moves a message from `slot` to a receiver, or into the ring.
    ///
    /// # Safety
    ///
    /// The slot must contain a message. After [`Attempt::Done`] or `Served` it is empty.
    #[inline(always)]
    pub(super) unsafe fn put(&mut self, slot: *const T) -> Attempt {
        if self.is_closed {
            return Attempt::Closed;
        }
        if let Some(waiter) = self.receivers.pop() {
            self.is_plain = self.receivers.is_empty();
            // SAFETY: what was taken out stays in place until it is served.
            let receiver = unsafe { &*waiter };
            let place: *mut T = receiver.take_note().cast();
            // SAFETY: the caller's promise, and the receiver's: it waits, with a place for a
            // message.
            unsafe { ptr::copy_nonoverlapping(slot, place, 1) };
            return Attempt::Served(waiter);
        }
        if !self.ring.has_room() {
            return Attempt::Wait;
        }
        // SAFETY: the caller's promise; there is room.
        unsafe { self.ring.push(slot) };
        Attempt::Done
    }

    /// Moves the oldest message into `slot`, and then the message of a waiting sender into the
    /// ring.
    ///
    /// # Safety
    ///
    /// The slot must have room for a message. After [`Attempt::Done`] or `Served` it contains one.
    #[inline(always)]
    pub(super) unsafe fn take(&mut self, slot: *mut T) -> Attempt {
        let is_taken = self.ring.len() > 0;
        if is_taken {
            // SAFETY: there is one, and the caller's promise.
            unsafe { self.ring.pop(slot) };
        }
        if let Some(waiter) = self.senders.pop() {
            self.look_again();
            // SAFETY: what was taken out stays in place until it is served.
            let sender = unsafe { &*waiter };
            let message: *const T = sender.take_note().cast();
            if is_taken {
                // SAFETY: the sender waits, with a message; one has just left the ring.
                unsafe { self.ring.push(message) };
            } else {
                // SAFETY: as above, and the caller's promise.
                unsafe { ptr::copy_nonoverlapping(message, slot, 1) };
            }
            return Attempt::Served(waiter);
        }
        if is_taken {
            Attempt::Done
        } else if self.is_closed {
            Attempt::Closed
        } else {
            Attempt::Wait
        }
    }
}
