//! The receiving side of a channel.

use super::receiver::Receiver;
use super::shared::Attempt;
use super::state::Taken;
use super::{Channel, RecvError};
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::cpu::current;
use crate::scheduler::run_loop::waiting;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::wait::{Giver, Kind};
use crate::scheduler::{WaitReason, after};
use crate::sync::line::Waiter;
use core::mem::MaybeUninit;
use core::ptr;
use core::time::Duration;

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
        let mut message = MaybeUninit::uninit();
        // SAFETY: it is a place for one. Interrupts are on: this fiber may wait.
        match unsafe { self.state.take_at_once::<true>(message.as_mut_ptr()) } {
            // SAFETY: it was moved there.
            Taken::Done => return Ok(unsafe { message.assume_init() }),
            Taken::Empty => {
                let receiver = Receiver::new(fiber);
                // SAFETY: it is new, and waits next, which keeps it in place.
                if unsafe { self.state.enter_alone(&raw const receiver) } {
                    self.wait(fiber, &raw const receiver, NEVER)?;
                    // SAFETY: it was served.
                    return Ok(unsafe { receiver.into_message() });
                }
            }
            Taken::Busy => {}
        }
        self.recv_slowly(fiber, NEVER)
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
        self.recv_slowly(fiber, after(timeout))
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
        self.recv_slowly(fiber, deadline)
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
        let mut message = MaybeUninit::uninit();
        // SAFETY: it is a place for one.
        match unsafe { self.state.take_at_once::<false>(message.as_mut_ptr()) } {
            // SAFETY: it was moved there.
            Taken::Done => return Ok(unsafe { message.assume_init() }),
            Taken::Empty => return Err(RecvError::Empty),
            Taken::Busy => {}
        }
        let mut message = MaybeUninit::uninit();
        // SAFETY: it is a place for one.
        unsafe { self.try_recv_slowly(message.as_mut_ptr())? };
        // SAFETY: it was moved there.
        Ok(unsafe { message.assume_init() })
    }

    /// Moves the oldest message into `slot`, if there is one.
    ///
    /// # Safety
    ///
    /// `slot` must have room for a message, which is there unless the function returns an error.
    #[cold]
    #[inline(never)]
    unsafe fn try_recv_slowly(&self, slot: *mut T) -> Result<(), RecvError> {
        // SAFETY: the caller's promise.
        let attempt = unsafe { self.state.lock().take(slot) };
        attempt.wake();
        match attempt {
            Attempt::Done | Attempt::Served(_) => Ok(()),
            Attempt::Wait => Err(RecvError::Empty),
            Attempt::Closed => Err(RecvError::Closed),
        }
    }

    /// Receives a message in all cases. The message comes to a place of its own in the caller's
    /// frame, so that the compiler can keep it in registers where this is not called.
    #[inline(always)]
    #[track_caller]
    fn recv_slowly(&self, fiber: *const Header, deadline: Nanoseconds) -> Result<T, RecvError> {
        let mut message = MaybeUninit::uninit();
        // SAFETY: it is a place for one.
        unsafe { self.recv_into_slot(fiber, message.as_mut_ptr(), deadline)? };
        // SAFETY: it was moved there.
        Ok(unsafe { message.assume_init() })
    }

    /// Receives a message into `slot`, and waits if there is neither a message nor a sender.
    ///
    /// # Safety
    ///
    /// `slot` must have room for a message, which is there unless the function returns an error.
    #[cold]
    #[inline(never)]
    #[track_caller]
    unsafe fn recv_into_slot(
        &self,
        fiber: *const Header,
        slot: *mut T,
        deadline: Nanoseconds,
    ) -> Result<(), RecvError> {
        let mut shared = self.state.lock();
        // SAFETY: the caller's promise.
        let attempt = unsafe { shared.take(slot) };
        match attempt {
            Attempt::Done | Attempt::Served(_) => {
                drop(shared);
                attempt.wake();
                return Ok(());
            }
            Attempt::Closed => return Err(RecvError::Closed),
            Attempt::Wait => {}
        }
        let receiver = Receiver::new(fiber);
        // SAFETY: it is new, and waits next, which keeps it in place.
        unsafe { shared.add_receiver(&raw const receiver) };
        drop(shared);
        self.wait(fiber, &raw const receiver, deadline)?;
        // SAFETY: it was served.
        let message = unsafe { receiver.into_message() };
        // SAFETY: the caller's promise.
        unsafe { slot.write(message) };
        Ok(())
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
        let (this, _) = unsafe { Waiter::of_failed::<Self>(object, waiter) };
        // SAFETY: it has waited.
        if unsafe { this.give_up(receiver, RecvError::Cancelled) }.is_err() {
            return;
        }
        // SAFETY: as above.
        let message = unsafe { &*receiver }.slot();
        // SAFETY: a sender has put it there, and the fiber that was to take it never does.
        let attempt = unsafe { this.state.lock().put_back(message) };
        attempt.wake();
    }

    /// Waits until the receiver is served.
    ///
    /// The function is inlined for the same reason as `Semaphore::wait`.
    #[inline(always)]
    #[track_caller]
    fn wait(
        &self,
        fiber: *const Header,
        receiver: *const Receiver<T>,
        deadline: Nanoseconds,
    ) -> Result<(), RecvError> {
        // SAFETY: callers keep it in place.
        let waiter = unsafe { &(*receiver).waiter };
        let mut is_dismissed = false;
        let is_done = || {
            waiter.is_served() || {
                is_dismissed = waiter.is_dismissed();
                is_dismissed
            }
        };
        let object = ptr::from_ref(self).cast();
        let this = receiver.cast();
        let kind = Self::RECEIVE;
        // SAFETY: a receiver begins with a waiter, and that with a record; callers keep it in place
        // until it has left.
        match unsafe { waiting::wait_in_line_until(this, fiber, kind, object, deadline, is_done) } {
            Ok(()) if is_dismissed => Err(RecvError::Closed),
            Ok(()) => Ok(()),
            // SAFETY: callers have entered it.
            Err(error) => unsafe { self.give_up(receiver, error.into()) },
        }
    }

    /// Ends the wait of a receiver with an error. It is not an error if the receiver was given a
    /// message meanwhile.
    ///
    /// # Safety
    ///
    /// The receiver must have entered.
    #[cold]
    #[inline(never)]
    unsafe fn give_up(
        &self,
        receiver: *const Receiver<T>,
        error: RecvError,
    ) -> Result<(), RecvError> {
        // SAFETY: the caller's promise.
        if unsafe { self.state.leave_receivers(receiver) } {
            return Err(error);
        }
        // SAFETY: it is in place.
        let waiter = unsafe { &(*receiver).waiter };
        waiter.await_served();
        if waiter.is_dismissed() {
            return Err(RecvError::Closed);
        }
        Ok(())
    }
}
