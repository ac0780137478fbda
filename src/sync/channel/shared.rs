//! The state that the fibers at a channel share, and the two moves: one message in, one message
//! out.

use super::receiver::Receiver;
use super::ring::Ring;
use super::word::{self, Word};
use crate::sync::line::{Line, Served, Waiter};
use core::ptr;

/// The state that the lock of a channel protects. While the channel is unlocked, a part of it is in
/// its [word].
pub(super) struct Shared<T, const CAP: usize> {
    pub(super) ring: Ring<T, CAP>,
    is_closed: bool,
    /// The fibers that wait for room. The note of each points to its message, which is gone once
    /// the fiber was served.
    pub(super) senders: Line,
    /// The fibers that wait for a message. The note of each points to its [`Receiver`]. If one
    /// waits, the channel is open and contains no message.
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
            is_closed: false,
            senders: Line::new(),
            receivers: Line::new(),
        }
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Reads the part of the state that is in the word of an unlocked channel.
    pub(super) fn unpack(&mut self, word: Word<T>) {
        if let Some(used) = word::plain(word) {
            self.ring.used = used;
        } else if word::is_alone(word) {
            self.ring.used = 0;
            let receiver = word::receiver_in(word);
            // SAFETY: it waits, which keeps it in place, and was taken from the word, so it is in
            // no line.
            unsafe { self.add_receiver(receiver) };
        }
    }

    /// Returns the word for the state. A receiver that waits alone leaves the line.
    pub(super) fn pack(&mut self) -> Word<T> {
        if self.is_closed || !self.senders.is_empty() {
            return word::busy();
        }
        match self.receivers.first() {
            None => word::of(self.ring.used),
            Some(first) if first.behind().is_some() => word::busy(),
            Some(first) => {
                let receiver: *const Receiver<T> = first.note().cast();
                let _alone = self.receivers.pop();
                word::alone(receiver)
            }
        }
    }

    /// Adds a receiver to the line.
    ///
    /// # Safety
    ///
    /// The receiver must be in no line, and must stay in place until it has left this one or is
    /// served.
    pub(super) unsafe fn add_receiver(&self, receiver: *const Receiver<T>) {
        // SAFETY: the caller's promise.
        let waiter = unsafe { &raw const (*receiver).waiter };
        // SAFETY: as above.
        unsafe { (*waiter).set_note(receiver.cast_mut().cast()) };
        // SAFETY: as above.
        unsafe { self.receivers.push(waiter) };
    }

    /// Closes the channel, and takes all waiters out of their lines.
    pub(super) fn close(&mut self) -> Served {
        self.is_closed = true;
        let mut waiters = Served::nobody();
        self.receivers.serve_all(&mut waiters);
        self.senders.serve_all(&mut waiters);
        waiters
    }

    /// Moves the message of a failed receiver to another receiver, or back to the front of the
    /// ring. If there is no room, the message is lost.
    ///
    /// # Safety
    ///
    /// The slot must contain a message, which is no longer used there.
    pub(super) unsafe fn put_back(&mut self, slot: *const T) -> Attempt {
        if !self.receivers.is_empty() {
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
    pub(super) unsafe fn put(&mut self, slot: *const T) -> Attempt {
        if self.is_closed {
            return Attempt::Closed;
        }
        if let Some(waiter) = self.receivers.pop() {
            // SAFETY: what was taken out stays in place until it is served.
            let receiver: *const Receiver<T> = unsafe { &*waiter }.note().cast();
            // SAFETY: as above; the note is that of `add_receiver`.
            let place = unsafe { &*receiver }.slot();
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
    pub(super) unsafe fn take(&mut self, slot: *mut T) -> Attempt {
        let is_taken = self.ring.used > 0;
        if is_taken {
            // SAFETY: there is one, and the caller's promise.
            unsafe { self.ring.pop(slot) };
        }
        if let Some(waiter) = self.senders.pop() {
            // SAFETY: what was taken out stays in place until it is served.
            let message: *const T = unsafe { &*waiter }.note().cast_const().cast();
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
