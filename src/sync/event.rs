//! The event group: 32 flags. Fibers wait for any or for all of a set of them.

mod bits;

use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::{WaitError, after};
use crate::sync::locked::Locked;
use bitflags::Flags;
use bits::Bits;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

/// A group of 32 flags that anyone may set, and that fibers can wait for. The kernel defines the
/// type of the flags, with the macro [`bitflags!`](bitflags::bitflags).
///
/// ```
/// use kfiber::{platform::Host, scheduler::{FiberPool, Scheduler}};
/// use kfiber::sync::{Event, Wanted, bitflags::bitflags};
///
/// bitflags! {
///     #[derive(Clone, Copy, Debug, PartialEq, Eq)]
///     struct Network: u32 {
///         const RECEIVED = 1;
///         const SENT = 2;
///     }
/// }
/// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
/// static CELLS: FiberPool<65536, 1> = FiberPool::new();
/// static NETWORK: Event<Network> = Event::new(Network::empty());
///
/// let either = Network::RECEIVED | Network::SENT;
/// let driver = SCHEDULER.spawn(&CELLS, move || NETWORK.wait(Wanted::any(either).and_clear()))?;
/// SCHEDULER.run_until_idle();
/// NETWORK.set(Network::RECEIVED); // an interrupt handler may do this
/// SCHEDULER.run();
/// assert_eq!(driver.try_join().unwrap(), Ok(Network::RECEIVED));
/// assert!(NETWORK.get().is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// When flags are set, the waiters are examined in the order in which they arrived. A waiter that
/// clears its flags takes them away from those behind it.
///
/// Bits that have no name are kept. A kernel that numbers its flags instead of naming them can
/// therefore wrap a plain `u32` in two lines:
///
/// ```
/// use kfiber::sync::{Event, bitflags::bitflags};
///
/// bitflags! {
///     #[derive(Clone, Copy)]
///     struct Word: u32 { const _ = !0; }
/// }
/// static WORD: Event<Word> = Event::new(Word::from_bits_retain(0b100));
///
/// assert_eq!(WORD.set(Word::from_bits_retain(0b001)).bits(), 0b101);
/// ```
// Reports show the address of `bits`. As the first field, it has the address of the event.
#[repr(C)]
pub struct Event<F> {
    bits: Bits,
    initial: F,
    /// Flags move between fibers as a value in a lock does, so the event is `Sync` only if they are
    /// `Send`.
    passed: PhantomData<Locked<F>>,
}

/// The flags that a fiber waits for, and whether it clears them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<F> {
    flags: F,
    needs_all: bool,
    clears: bool,
}

impl<F: Flags<Bits = u32> + Copy> Wanted<F> {
    /// Waits for at least one of these flags. With no flags, the wait never ends.
    #[must_use]
    pub const fn any(flags: F) -> Self {
        Self {
            flags,
            needs_all: false,
            clears: false,
        }
    }

    /// Waits for all of these flags. With no flags, the wait ends at once.
    #[must_use]
    pub const fn all(flags: F) -> Self {
        Self {
            flags,
            needs_all: true,
            clears: false,
        }
    }

    /// Clears those of the flags that are set, when the wait ends.
    #[must_use]
    pub const fn and_clear(mut self) -> Self {
        self.clears = true;
        self
    }

    fn bits(self) -> Wanted<u32> {
        Wanted {
            flags: self.flags.bits(),
            needs_all: self.needs_all,
            clears: self.clears,
        }
    }
}

impl<F: Flags<Bits = u32> + Copy> Event<F> {
    /// Creates an event group in which these flags are set.
    #[must_use]
    pub const fn new(flags: F) -> Self {
        Self {
            bits: Bits::new(),
            initial: flags,
            passed: PhantomData,
        }
    }

    /// Returns the flags that are set.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn get(&self) -> F {
        F::from_bits_retain(self.bits.get(self.initial.bits()))
    }

    /// Sets flags, and wakes the fibers whose waits they satisfy. Returns the flags that are set
    /// afterwards.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing; interrupts are off
    /// for a time that is proportional to the number of waiting fibers.
    pub fn set(&self, flags: F) -> F {
        F::from_bits_retain(self.bits.set(self.initial.bits(), flags.bits()))
    }

    /// Clears flags. Returns the flags that were set before.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    pub fn clear(&self, flags: F) -> F {
        F::from_bits_retain(self.bits.clear(self.initial.bits(), flags.bits()))
    }

    /// Returns those of the wanted flags that are set if they satisfy `wanted`, and `None`
    /// otherwise.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn try_wait(&self, wanted: Wanted<F>) -> Option<F> {
        self.bits
            .try_wait(self.initial.bits(), wanted.bits())
            .map(F::from_bits_retain)
    }

    /// Waits until the flags that are set satisfy `wanted`, and returns those of the wanted flags
    /// that are set.
    ///
    /// # Errors
    ///
    /// Returns [`WaitError::Cancelled`] if the fiber is cancelled.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn wait(&self, wanted: Wanted<F>) -> Result<F, WaitError> {
        self.wait_until(wanted, NEVER)
    }

    /// Behaves like [`wait`](Self::wait), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`wait`](Self::wait), and [`WaitError::TimedOut`] when the time has
    /// passed.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`wait`](Self::wait).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn wait_timeout(&self, wanted: Wanted<F>, timeout: Duration) -> Result<F, WaitError> {
        self.wait_until(wanted, after(timeout))
    }

    /// Behaves like [`wait`](Self::wait), but waits no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`wait`](Self::wait), and [`WaitError::TimedOut`] when the time has
    /// passed.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`wait`](Self::wait).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn wait_until(&self, wanted: Wanted<F>, deadline: Nanoseconds) -> Result<F, WaitError> {
        self.bits
            .wait_until(self.initial.bits(), wanted.bits(), deadline)
            .map(F::from_bits_retain)
    }
}

impl<F: Flags<Bits = u32> + Copy + fmt::Debug> fmt::Debug for Event<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Event").field(&self.get()).finish()
    }
}
