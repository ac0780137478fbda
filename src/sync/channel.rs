//! The channel: a queue of messages from fibers and interrupt handlers to fibers. It can be kept in
//! a static.

mod error;
mod receive;
mod ring;
mod shared;

use super::line::{Served, Waiter};
use super::locked::{Alone, Locked};
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::cpu::current;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::wait::{Giver, Kind};
use crate::scheduler::{WaitReason, after};
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr;
use core::time::Duration;
use shared::{Attempt, Shared};

pub use error::{RecvError, SendError, SendErrorKind};

/// A bounded channel that buffers up to `CAP` messages. Any number of fibers may send and receive.
///
/// ```
/// use kfiber::{platform::Host, scheduler::{FiberPool, Scheduler}, sync::{Channel, RecvError}};
///
/// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
/// static CELLS: FiberPool<65536, 2> = FiberPool::new();
/// static NUMBERS: Channel<u32, 4> = Channel::new();
///
/// SCHEDULER.spawn(&CELLS, || {
///     for number in 1..=10 {
///         NUMBERS.send(number).unwrap();
///     }
///     NUMBERS.close();
/// })?.detach();
/// let sum = SCHEDULER.spawn(&CELLS, || {
///     let mut sum = 0;
///     while let Ok(number) = NUMBERS.recv() {
///         sum += number;
///     }
///     sum
/// })?;
/// SCHEDULER.run();
/// assert_eq!(sum.try_join().unwrap(), 55);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Messages are received in the order in which they were sent. Fibers that wait for a message, and
/// fibers that wait for room, are served first come, first served. A message for a waiting receiver
/// goes directly to that fiber. With a `CAP` of zero, each `send` waits for a receiver.
///
/// A message is moved with interrupts off, so large messages should be sent by reference.
pub struct Channel<T, const CAP: usize> {
    shared: Locked<Shared<T, CAP>>,
}

/// The storage of a message on the stack of the fiber that sends or receives it.
type Slot<T> = UnsafeCell<MaybeUninit<T>>;

impl<T, const CAP: usize> Channel<T, CAP> {
    /// Creates an empty channel.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            shared: Locked::new(Shared::new()),
        }
    }

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
        let mut shared = self.shared.lock_with_interrupts_on();
        if !shared.is_plain {
            return self.send_slowly(shared, fiber, message, NEVER);
        }
        if !shared.ring.has_room() {
            return self.wait_for_room(shared, fiber, message, NEVER);
        }
        let message = ManuallyDrop::new(message);
        // SAFETY: there is room, and the message is not used again.
        unsafe { shared.ring.push(&raw const *message) };
        Ok(())
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
        let deadline = after(timeout);
        let shared = self.shared.lock_with_interrupts_on();
        self.send_slowly(shared, fiber, message, deadline)
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
        let shared = self.shared.lock_with_interrupts_on();
        self.send_slowly(shared, fiber, message, deadline)
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
        let slot = Slot::new(MaybeUninit::new(message));
        let attempt = self.shared.with(|shared| {
            // SAFETY: the message is in the slot.
            unsafe { shared.put(slot.get().cast()) }
        });
        attempt.wake();
        match attempt {
            Attempt::Done | Attempt::Served(_) => Ok(()),
            Attempt::Wait => Err(not_sent(slot, SendErrorKind::Full)),
            Attempt::Closed => Err(not_sent(slot, SendErrorKind::Closed)),
        }
    }

    /// Sends a message when a fiber waits at the channel, or when the channel is closed.
    #[inline(never)]
    #[track_caller]
    fn send_slowly(
        &self,
        mut shared: Alone<'_, Shared<T, CAP>>,
        fiber: *const Header,
        message: T,
        deadline: Nanoseconds,
    ) -> Result<(), SendError<T>> {
        let message = ManuallyDrop::new(message);
        // SAFETY: there it is, and after `Done` or `Served` it is not used again.
        let attempt = unsafe { shared.put(&raw const *message) };
        match attempt {
            Attempt::Done | Attempt::Served(_) => {
                drop(shared);
                attempt.wake();
                Ok(())
            }
            Attempt::Closed => Err(SendError {
                message: ManuallyDrop::into_inner(message),
                kind: SendErrorKind::Closed,
            }),
            Attempt::Wait => {
                let message = ManuallyDrop::into_inner(message);
                self.wait_for_room(shared, fiber, message, deadline)
            }
        }
    }

    /// Waits when there is neither room nor a receiver.
    #[inline(never)]
    #[track_caller]
    fn wait_for_room(
        &self,
        mut shared: Alone<'_, Shared<T, CAP>>,
        fiber: *const Header,
        message: T,
        deadline: Nanoseconds,
    ) -> Result<(), SendError<T>> {
        let slot = Slot::new(MaybeUninit::new(message));
        let waiter = Waiter::new(fiber);
        waiter.set_note(slot.get().cast());
        // SAFETY: it is new, and waits next, which keeps it and the slot in place.
        unsafe { shared.senders.push(&raw const waiter) };
        shared.is_plain = false;
        drop(shared);
        let object = ptr::from_ref(self).cast();
        let leave = Shared::leave_senders;
        match waiter.wait(&self.shared, Self::SEND, object, deadline, leave) {
            Ok(()) if waiter.note().is_null() => Ok(()),
            Ok(()) => Err(not_sent(slot, SendErrorKind::Closed)),
            Err(error) => Err(not_sent(slot, error.into())),
        }
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
        let _is_not_sent = waiter.has_left(&this.shared, Shared::leave_senders);
    }

    /// Closes the channel for sending. Senders that wait get their messages back. Closing a closed
    /// channel has no effect.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing; interrupts are off
    /// for a time that is proportional to the number of waiting fibers.
    pub fn close(&self) {
        let mut served = Served::nobody();
        self.shared.with(|shared| {
            (shared.is_closed, shared.is_plain) = (true, false);
            while shared.receivers.serve_first(&mut served).is_some() {}
            while shared.senders.serve_first(&mut served).is_some() {}
        });
        served.wake();
    }

    /// Returns whether the channel was closed.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.with(|shared| shared.is_closed)
    }

    /// Returns the number of messages in the channel, not counting those of senders that wait.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.with(|shared| shared.ring.len())
    }

    /// Returns whether the channel contains no message.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Returns the error with the message that is still in the slot.
#[cold]
const fn not_sent<T>(slot: Slot<T>, kind: SendErrorKind) -> SendError<T> {
    SendError {
        // SAFETY: callers say that it is there.
        message: unsafe { slot.into_inner().assume_init() },
        kind,
    }
}

impl<T, const CAP: usize> Default for Channel<T, CAP> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const CAP: usize> fmt::Debug for Channel<T, CAP> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("len", &self.len())
            .field("capacity", &CAP)
            .finish_non_exhaustive()
    }
}
