//! The channel: messages from fibers and interrupt handlers to fibers, kept in a static.

mod error;
mod receive;
mod ring;

use super::line::{Line, Served, Waiter};
use super::locked::Locked;
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::header::Header;
use crate::scheduler::{WaitReason, after, current};
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr;
use core::time::Duration;
use ring::Ring;

pub use error::{RecvError, SendError, SendErrorKind};

/// A channel for up to `CAP` messages that were sent and not yet received. Any number may send and receive.
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
/// Messages arrive in the order in which they were sent. Fibers that wait for one, and those that wait for room, are served
/// first come, first served; a message goes straight to the receiver that waits. With a `CAP` of zero, each `send` waits for
/// its receiver.
///
/// A message is moved with interrupts off: send large ones by reference.
pub struct Channel<T, const CAP: usize> {
    shared: Locked<Shared<T, CAP>>,
}

struct Shared<T, const CAP: usize> {
    ring: Ring<T, CAP>,
    is_closed: bool,
    /// Those that wait for room. Each note points to the message, and is null once that was taken.
    senders: Line,
    /// Those that wait for a message. Each note points to the place for it, and is null once it is there.
    receivers: Line,
}

/// What became of an attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Done,
    Wait,
    Closed,
}

/// A message's place on the stack of the fiber that sends or receives it.
type Slot<T> = UnsafeCell<MaybeUninit<T>>;

impl<T, const CAP: usize> Shared<T, CAP> {
    /// Moves a message from `slot` to a receiver, or into the ring.
    ///
    /// # Safety
    ///
    /// There is one in the slot; after [`Attempt::Done`] there is none.
    #[inline(always)]
    unsafe fn put(&mut self, slot: *const T, served: &mut Served) -> Attempt {
        if self.is_closed {
            return Attempt::Closed;
        }
        if let Some(receiver) = self.receivers.serve_first(served) {
            let place: *mut T = receiver.note.replace(ptr::null_mut()).cast();
            // SAFETY: the caller's promise, and the receiver's: it waits, with a place for a message.
            unsafe { ptr::copy_nonoverlapping(slot, place, 1) };
            return Attempt::Done;
        }
        // SAFETY: the caller's promise.
        if unsafe { self.ring.push(slot) } {
            Attempt::Done
        } else {
            Attempt::Wait
        }
    }

    /// Moves the oldest message into `slot`, and that of a sender that waits into the ring.
    ///
    /// # Safety
    ///
    /// The slot is a place for a message; after [`Attempt::Done`] there is one in it.
    #[inline(always)]
    unsafe fn take(&mut self, slot: *mut T, served: &mut Served) -> Attempt {
        // SAFETY: the caller's promise.
        let is_taken = unsafe { self.ring.pop(slot) };
        if let Some(sender) = self.senders.serve_first(served) {
            let message: *const T = sender.note.replace(ptr::null_mut()).cast();
            if is_taken {
                // SAFETY: the sender waits, with a message.
                let _has_room = unsafe { self.ring.push(message) };
            } else {
                // SAFETY: as above, and the caller's promise.
                unsafe { ptr::copy_nonoverlapping(message, slot, 1) };
            }
            return Attempt::Done;
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

impl<T, const CAP: usize> Channel<T, CAP> {
    /// Returns an empty channel.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            shared: Locked::new(Shared {
                ring: Ring::new(),
                is_closed: false,
                senders: Line::new(),
                receivers: Line::new(),
            }),
        }
    }

    /// Sends a message, or waits for room.
    ///
    /// # Errors
    ///
    /// Gives the message back if the channel is closed, or if the fiber is asked to end while it waits.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed, also if it need not wait.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[inline]
    #[track_caller]
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.send_as(current::waiting_fiber(), message, NEVER)
    }

    /// As [`send`](Self::send), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and when the time has passed.
    ///
    /// # Panics
    ///
    /// As [`send`](Self::send).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendError<T>> {
        let fiber = current::waiting_fiber();
        self.send_as(fiber, message, after(timeout))
    }

    /// As [`send`](Self::send), but waits no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and when the deadline has passed.
    ///
    /// # Panics
    ///
    /// As [`send`](Self::send).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn send_until(&self, message: T, deadline: Nanoseconds) -> Result<(), SendError<T>> {
        self.send_as(current::waiting_fiber(), message, deadline)
    }

    /// Sends a message if there is room, or a receiver waits.
    ///
    /// # Errors
    ///
    /// Gives the message back if the channel is full or closed.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[inline]
    pub fn try_send(&self, message: T) -> Result<(), SendError<T>> {
        let slot = Slot::new(MaybeUninit::new(message));
        let mut served = Served::nobody();
        let attempt = self.shared.with(|shared| {
            // SAFETY: the message is in the slot.
            unsafe { shared.put(slot.get().cast(), &mut served) }
        });
        served.wake();
        match attempt {
            Attempt::Done => Ok(()),
            Attempt::Wait => Err(not_sent(slot, SendErrorKind::Full)),
            Attempt::Closed => Err(not_sent(slot, SendErrorKind::Closed)),
        }
    }

    #[inline(always)]
    #[track_caller]
    fn send_as(
        &self,
        fiber: *const Header,
        message: T,
        deadline: Nanoseconds,
    ) -> Result<(), SendError<T>> {
        let slot = Slot::new(MaybeUninit::new(message));
        let waiter = Waiter::new(fiber);
        let mut served = Served::nobody();
        let attempt = self.shared.with_interrupts_on(|shared| {
            // SAFETY: the message is in the slot.
            let attempt = unsafe { shared.put(slot.get().cast(), &mut served) };
            if attempt == Attempt::Wait {
                waiter.note.set(slot.get().cast());
                // SAFETY: it is new, and waits next, which keeps it and the slot in place.
                unsafe { shared.senders.push(&raw const waiter) };
            }
            attempt
        });
        served.wake();
        match attempt {
            Attempt::Done => return Ok(()),
            Attempt::Closed => return Err(not_sent(slot, SendErrorKind::Closed)),
            Attempt::Wait => {}
        }
        let object = ptr::from_ref(self).cast();
        let leave = |shared: &mut Shared<T, CAP>, waiter: &Waiter| {
            shared.senders.remove(waiter);
            Served::nobody()
        };
        match waiter.wait(&self.shared, WaitReason::Send, object, deadline, leave) {
            Ok(()) if waiter.note.get().is_null() => Ok(()),
            Ok(()) => Err(not_sent(slot, SendErrorKind::Closed)),
            Err(error) => Err(not_sent(slot, error.into())),
        }
    }

    /// Closes it for sending. Senders that wait get their messages back. Closing twice changes nothing.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing; with interrupts off it takes as long as there
    /// are fibers to take out.
    pub fn close(&self) {
        let mut served = Served::nobody();
        self.shared.with(|shared| {
            shared.is_closed = true;
            while shared.receivers.serve_first(&mut served).is_some() {}
            while shared.senders.serve_first(&mut served).is_some() {}
        });
        served.wake();
    }

    /// Says whether it was closed.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.with(|shared| shared.is_closed)
    }

    /// How many messages are in it, without those of senders that wait.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.with(|shared| shared.ring.len())
    }

    /// Says whether no message is in it.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The error with the message that is still in the slot.
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
