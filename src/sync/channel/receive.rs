//! The receiving side of a channel.

use super::shared::{Attempt, Shared};
use super::{Channel, RecvError, Slot};
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::cpu::current;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::wait::{Giver, Kind};
use crate::scheduler::{WaitReason, after};
use crate::sync::line::Waiter;
use crate::sync::locked::Alone;
use core::mem::MaybeUninit;
use core::ptr;
use core::time::Duration;

/// A fiber that waits for a message.
#[repr(C)] // from the waiter one gets to the slot
struct Receiver<T> {
    waiter: Waiter,
    slot: Slot<T>,
}

impl<T, const CAP: usize> Channel<T, CAP> {
    /// Receives the oldest message, and waits for one if there is none. Messages that were sent
    /// before the channel was closed are still received.
    ///
    /// # Errors
    ///
    /// Returns [`RecvError::Closed`] if the channel is closed and empty, and
    /// [`RecvError::Cancelled`] if the fiber is cancelled while it waits.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed, even if there is a message.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[inline(always)]
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        let fiber = current::waiting_fiber();
        let mut shared = self.shared.lock_with_interrupts_on();
        if !shared.is_plain {
            return self.recv_slowly(shared, fiber, NEVER);
        }
        if shared.ring.len() == 0 {
            return self.wait_for_message(shared, fiber, NEVER);
        }
        let mut message = MaybeUninit::uninit();
        // SAFETY: there is one.
        unsafe { shared.ring.pop(message.as_mut_ptr()) };
        drop(shared);
        // SAFETY: it was moved there.
        Ok(unsafe { message.assume_init() })
    }

    /// Behaves like [`recv`](Self::recv), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`recv`](Self::recv), and [`RecvError::TimedOut`] when the time has
    /// passed.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`recv`](Self::recv).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvError> {
        let fiber = current::waiting_fiber();
        let deadline = after(timeout);
        let shared = self.shared.lock_with_interrupts_on();
        self.recv_slowly(shared, fiber, deadline)
    }

    /// Behaves like [`recv`](Self::recv), but waits no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`recv`](Self::recv), and [`RecvError::TimedOut`] when the deadline
    /// has passed.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`recv`](Self::recv).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn recv_until(&self, deadline: Nanoseconds) -> Result<T, RecvError> {
        let fiber = current::waiting_fiber();
        let shared = self.shared.lock_with_interrupts_on();
        self.recv_slowly(shared, fiber, deadline)
    }

    /// Receives the oldest message if there is one.
    ///
    /// # Errors
    ///
    /// Returns [`RecvError::Empty`] if there is no message, and [`RecvError::Closed`] if the
    /// channel is closed as well.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[inline]
    pub fn try_recv(&self) -> Result<T, RecvError> {
        let slot = Slot::new(MaybeUninit::uninit());
        let attempt = self.shared.with(|shared| {
            // SAFETY: the slot is empty.
            unsafe { shared.take(slot.get().cast()) }
        });
        attempt.wake();
        match attempt {
            // SAFETY: it was put there.
            Attempt::Done | Attempt::Served(_) => Ok(unsafe { slot.into_inner().assume_init() }),
            Attempt::Wait => Err(RecvError::Empty),
            Attempt::Closed => Err(RecvError::Closed),
        }
    }

    /// Receives a message when a fiber waits at the channel, or when the channel is closed.
    #[inline(never)]
    #[track_caller]
    fn recv_slowly(
        &self,
        mut shared: Alone<'_, Shared<T, CAP>>,
        fiber: *const Header,
        deadline: Nanoseconds,
    ) -> Result<T, RecvError> {
        let mut message = MaybeUninit::uninit();
        // SAFETY: it is a place for one.
        let attempt = unsafe { shared.take(message.as_mut_ptr()) };
        match attempt {
            Attempt::Done | Attempt::Served(_) => {
                drop(shared);
                attempt.wake();
                // SAFETY: it was put there.
                Ok(unsafe { message.assume_init() })
            }
            Attempt::Closed => Err(RecvError::Closed),
            Attempt::Wait => self.wait_for_message(shared, fiber, deadline),
        }
    }

    const RECEIVE: &'static Kind = &Kind::in_line(
        WaitReason::Receive,
        Giver::Anybody,
        Self::leave_failed_receiver,
    );

    /// Removes a receiver that failed while it waited, and passes on its message.
    ///
    /// # Safety
    ///
    /// The requirements of [`Leave`](crate::scheduler::task::wait::Leave) apply.
    unsafe fn leave_failed_receiver(object: *const (), waiter: *const ()) {
        let receiver: *const Receiver<T> = waiter.cast();
        // SAFETY: the caller's promise.
        let (this, waiter) = unsafe { Waiter::of_failed::<Self>(object, waiter) };
        if waiter.has_left(&this.shared, Shared::leave_receivers) || !waiter.note().is_null() {
            return;
        }
        // SAFETY: `wait_for_message` made it, around its waiter.
        let message = unsafe { &(*receiver).slot }.get().cast();
        // SAFETY: a sender has put it there, and the fiber that was to take it never does.
        let attempt = this
            .shared
            .with(|shared| unsafe { shared.put_back(message) });
        attempt.wake();
    }

    /// Waits when there is neither a message nor a sender.
    ///
    /// The function is inlined for the same reason as `Semaphore::wait`.
    #[inline(always)]
    #[track_caller]
    fn wait_for_message(
        &self,
        mut shared: Alone<'_, Shared<T, CAP>>,
        fiber: *const Header,
        deadline: Nanoseconds,
    ) -> Result<T, RecvError> {
        let receiver = Receiver {
            waiter: Waiter::new(fiber),
            slot: Slot::new(MaybeUninit::uninit()),
        };
        let Receiver { waiter, slot } = &receiver;
        waiter.set_note(slot.get().cast());
        // SAFETY: it is new, and waits next, which keeps it and the slot in place.
        unsafe { shared.receivers.push((&raw const receiver).cast()) };
        shared.is_plain = false;
        drop(shared);
        let object = ptr::from_ref(self).cast();
        let leave = Shared::leave_receivers;
        waiter.wait(&self.shared, Self::RECEIVE, object, deadline, leave)?;
        if waiter.note().is_null() {
            // SAFETY: the sender that took the note away has put it there.
            Ok(unsafe { receiver.slot.into_inner().assume_init() })
        } else {
            Err(RecvError::Closed)
        }
    }
}
