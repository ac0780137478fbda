//! The channel: a queue of messages from fibers and interrupt handlers to fibers. It can be kept in
//! a static.

mod error;
mod receive;
mod receiver;
mod ring;
mod send;
mod shared;
mod state;
mod word;

use core::fmt;
use state::State;

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
/// A message is moved into the channel and out of it with interrupts off, so large messages should
/// be sent by reference.
pub struct Channel<T, const CAP: usize> {
    state: State<T, CAP>,
}

impl<T, const CAP: usize> Channel<T, CAP> {
    /// Creates an empty channel.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::new(),
        }
    }

    /// Closes the channel for sending. Senders that wait get their messages back. Closing a closed
    /// channel has no effect.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing; interrupts are off
    /// for a time that is proportional to the number of waiting fibers.
    pub fn close(&self) {
        let waiters = self.state.lock().close();
        waiters.dismiss();
    }

    /// Returns whether the channel was closed.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.lock().is_closed()
    }

    /// Returns the number of messages in the channel, not counting those of senders that wait.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lock().ring.len()
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
