//! The receiving side of a channel.

use super::{Attempt, Channel, RecvError, Shared, Slot};
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::header::Header;
use crate::scheduler::{WaitReason, after, current};
use crate::sync::line::{Served, Waiter};
use core::mem::MaybeUninit;
use core::ptr;
use core::time::Duration;

impl<T, const CAP: usize> Channel<T, CAP> {
    /// Receives the oldest message, or waits for one. Those that were sent before a channel was closed are still received.
    ///
    /// # Errors
    ///
    /// [`RecvError::Closed`] if there are no more, and [`RecvError::Cancelled`] if the fiber is asked to end while it waits.
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
    pub fn recv(&self) -> Result<T, RecvError> {
        self.recv_as(current::waiting_fiber(), NEVER)
    }

    /// As [`recv`](Self::recv), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`RecvError::TimedOut`].
    ///
    /// # Panics
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvError> {
        let fiber = current::waiting_fiber();
        self.recv_as(fiber, after(timeout))
    }

    /// As [`recv`](Self::recv), but waits no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`RecvError::TimedOut`].
    ///
    /// # Panics
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn recv_until(&self, deadline: Nanoseconds) -> Result<T, RecvError> {
        self.recv_as(current::waiting_fiber(), deadline)
    }

    /// Receives the oldest message if there is one.
    ///
    /// # Errors
    ///
    /// [`RecvError::Empty`], or [`RecvError::Closed`] if there will be no more.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[inline]
    pub fn try_recv(&self) -> Result<T, RecvError> {
        let slot = Slot::new(MaybeUninit::uninit());
        let mut served = Served::nobody();
        let attempt = self.shared.with(|shared| {
            // SAFETY: the slot is empty.
            unsafe { shared.take(slot.get().cast(), &mut served) }
        });
        served.wake();
        match attempt {
            // SAFETY: it was put there.
            Attempt::Done => Ok(unsafe { slot.into_inner().assume_init() }),
            Attempt::Wait => Err(RecvError::Empty),
            Attempt::Closed => Err(RecvError::Closed),
        }
    }

    #[inline(always)]
    #[track_caller]
    fn recv_as(&self, fiber: *const Header, deadline: Nanoseconds) -> Result<T, RecvError> {
        let slot = Slot::new(MaybeUninit::uninit());
        let waiter = Waiter::new(fiber);
        let mut served = Served::nobody();
        let attempt = self.shared.with_interrupts_on(|shared| {
            // SAFETY: the slot is empty.
            let attempt = unsafe { shared.take(slot.get().cast(), &mut served) };
            if attempt == Attempt::Wait {
                waiter.note.set(slot.get().cast());
                // SAFETY: it is new, and waits next, which keeps it and the slot in place.
                unsafe { shared.receivers.push(&raw const waiter) };
            }
            attempt
        });
        served.wake();
        if attempt == Attempt::Wait {
            let object = ptr::from_ref(self).cast();
            let leave = |shared: &mut Shared<T, CAP>, waiter: &Waiter| {
                shared.receivers.remove(waiter);
                Served::nobody()
            };
            waiter.wait(&self.shared, WaitReason::Receive, object, deadline, leave)?;
        }
        if attempt == Attempt::Closed || !waiter.note.get().is_null() {
            return Err(RecvError::Closed);
        }
        // SAFETY: it was put there: at once, or by the sender that took the note away.
        Ok(unsafe { slot.into_inner().assume_init() })
    }
}
