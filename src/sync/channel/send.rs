//! The sending side of a channel.

use super::shared::Attempt;
use super::{Channel, SendError, SendErrorKind};
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::cpu::current;
use crate::scheduler::run_loop::waiting;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::wait::{Giver, Kind};
use crate::scheduler::{WaitReason, after};
use crate::sync::line::Waiter;
use core::cell::UnsafeCell;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr;
use core::time::Duration;

/// A message on the stack of the fiber that sends it, until somebody moves it out.
struct Slot<T>(UnsafeCell<MaybeUninit<T>>);

impl<T> Slot<T> {
    #[inline(always)]
    const fn new(message: T) -> Self {
        Self(UnsafeCell::new(MaybeUninit::new(message)))
    }

    #[inline(always)]
    const fn message(&self) -> *const T {
        self.0.get().cast_const().cast()
    }

    /// Returns the error with the message.
    ///
    /// # Safety
    ///
    /// The message must not have been moved out.
    const unsafe fn not_sent(self, kind: SendErrorKind) -> SendError<T> {
        SendError {
            // SAFETY: the caller's promise.
            message: unsafe { self.0.into_inner().assume_init() },
            kind,
        }
    }
}

impl<T, const CAP: usize> Channel<T, CAP> {
    /// Sends a message, and waits for room if the channel is full.
    ///
    /// # Errors
    ///
    /// Returns the message in a [`SendError`] if the channel is closed, or if the fiber is
    /// cancelled while it waits.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed, even if there is room.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[inline(always)]
    #[track_caller]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        let fiber = current::waiting_fiber();
        // SAFETY: there it is. Interrupts are on: this fiber may wait.
        if unsafe { self.state.put_at_once::<true>(&raw const message) } {
            // It was moved out.
            let _moved = ManuallyDrop::new(message);
            return Ok(());
        }
        self.send_slowly(fiber, message, NEVER)
    }

    /// Behaves like [`send`](Self::send), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`send`](Self::send), and [`SendErrorKind::TimedOut`] when the time
    /// has passed.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`send`](Self::send).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendError<T>> {
        let fiber = current::waiting_fiber();
        self.send_slowly(fiber, message, after(timeout))
    }

    /// Behaves like [`send`](Self::send), but waits no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`send`](Self::send), and [`SendErrorKind::TimedOut`] when the
    /// deadline has passed.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`send`](Self::send).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn send_until(&self, message: T, deadline: Nanoseconds) -> Result<(), SendError<T>> {
        let fiber = current::waiting_fiber();
        self.send_slowly(fiber, message, deadline)
    }

    /// Sends a message if there is room, or if a receiver waits.
    ///
    /// # Errors
    ///
    /// Returns the message in a [`SendError`] if the channel is full or closed.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[inline]
    pub fn try_send(&self, message: T) -> Result<(), SendError<T>> {
        // SAFETY: there it is.
        if unsafe { self.state.put_at_once::<false>(&raw const message) } {
            // It was moved out.
            let _moved = ManuallyDrop::new(message);
            return Ok(());
        }
        let slot = Slot::new(message);
        // SAFETY: the message is in the slot, and stays there after an error.
        match unsafe { self.try_send_slowly(slot.message()) } {
            Ok(()) => Ok(()),
            // SAFETY: as above.
            Err(kind) => Err(unsafe { slot.not_sent(kind) }),
        }
    }

    /// Sends a message if there is room, or if a receiver waits.
    ///
    /// # Safety
    ///
    /// `message` must point to a message. It is moved out unless the function returns an error.
    #[cold]
    #[inline(never)]
    unsafe fn try_send_slowly(&self, message: *const T) -> Result<(), SendErrorKind> {
        // SAFETY: the caller's promise.
        let attempt = unsafe { self.state.lock().put(message) };
        attempt.wake();
        match attempt {
            Attempt::Done | Attempt::Served(_) => Ok(()),
            Attempt::Wait => Err(SendErrorKind::Full),
            Attempt::Closed => Err(SendErrorKind::Closed),
        }
    }

    /// Sends a message in all cases. The message moves to another place in the caller's frame, so
    /// that the compiler can keep it in registers where this is not called.
    #[inline(always)]
    #[track_caller]
    fn send_slowly(
        &self,
        fiber: *const Header,
        message: T,
        deadline: Nanoseconds,
    ) -> Result<(), SendError<T>> {
        let slot = Slot::new(message);
        // SAFETY: the message is in the slot, and stays there after an error.
        match unsafe { self.send_from_slot(fiber, slot.message(), deadline) } {
            Ok(()) => Ok(()),
            // SAFETY: as above.
            Err(kind) => Err(unsafe { slot.not_sent(kind) }),
        }
    }

    /// Sends a message, and waits if there is neither room nor a receiver.
    ///
    /// # Safety
    ///
    /// `message` must point to a message in an [`UnsafeCell`]. It is moved out unless the function
    /// returns an error.
    #[cold]
    #[inline(never)]
    #[track_caller]
    unsafe fn send_from_slot(
        &self,
        fiber: *const Header,
        message: *const T,
        deadline: Nanoseconds,
    ) -> Result<(), SendErrorKind> {
        let mut shared = self.state.lock();
        // SAFETY: the caller's promise.
        let attempt = unsafe { shared.put(message) };
        match attempt {
            Attempt::Done | Attempt::Served(_) => {
                drop(shared);
                attempt.wake();
                return Ok(());
            }
            Attempt::Closed => return Err(SendErrorKind::Closed),
            Attempt::Wait => {}
        }
        let waiter = Waiter::new(fiber);
        waiter.set_note(message.cast_mut().cast());
        // SAFETY: it is new, and waits next, which keeps it and the message in place.
        unsafe { shared.senders.push(&raw const waiter) };
        drop(shared);
        let this = (&raw const waiter).cast();
        let object = ptr::from_ref(self).cast();
        let is_done = || waiter.is_served() || waiter.is_dismissed();
        // SAFETY: a waiter begins with a record, and this one leaves the line before it goes away.
        let waited = unsafe {
            waiting::wait_in_line_until(this, fiber, Self::SEND, object, deadline, is_done)
        };
        if let Err(error) = waited {
            if self.state.leave_senders(&waiter) {
                return Err(error.into());
            }
            waiter.await_served();
        }
        if waiter.is_dismissed() {
            return Err(SendErrorKind::Closed);
        }
        Ok(())
    }

    const SEND: &'static Kind =
        &Kind::in_line(WaitReason::Send, Giver::Anybody, Self::leave_failed_sender);

    /// Removes a sender that failed while it waited.
    ///
    /// # Safety
    ///
    /// The requirements of [`Leave`](crate::scheduler::task::wait::Leave) apply.
    unsafe fn leave_failed_sender(object: *const (), waiter: *const ()) {
        // SAFETY: the caller's promise.
        let (this, waiter) = unsafe { Waiter::of_failed::<Self>(object, waiter) };
        // A message that was taken is on its way. Otherwise, the message stays where it is.
        if !this.state.leave_senders(waiter) {
            waiter.await_served();
        }
    }
}
