//! The event group: 32 flags. Fibers wait for any or for all of a set of them.

use super::line::{Line, Served, Waiter};
use super::locked::Locked;
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::cpu::current;
use crate::scheduler::task::wait::{Giver, Kind};
use crate::scheduler::{WaitError, WaitReason, after};
use core::fmt;
use core::ptr;
use core::time::Duration;

static KIND: Kind = Kind::in_line(WaitReason::Event, Giver::Anybody, leave_failed);

/// Removes a fiber that failed while it waited, and passes on what it was given.
///
/// # Safety
///
/// The requirements of [`Leave`](crate::scheduler::task::wait::Leave) apply.
unsafe fn leave_failed(object: *const (), waiter: *const ()) {
    // SAFETY: the caller's promise.
    let (this, waiter) = unsafe { Waiter::of_failed::<Event>(object, waiter) };
    if waiter.has_left(&this.flags, Flags::leave) {
        return;
    }
    // SAFETY: as in `set`; it was served, so nobody else touches it any more.
    let request = unsafe { &*waiter.note.get().cast::<Request>() };
    if request.wanted.clears {
        let _set = this.set(request.found);
    }
}

/// A group of 32 flags that anyone may set, and that fibers can wait for.
///
/// ```
/// use kfiber::{platform::Host, scheduler::{FiberPool, Scheduler}, sync::{Event, Wanted}};
///
/// const RECEIVED: u32 = 1;
/// const SENT: u32 = 2;
/// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
/// static CELLS: FiberPool<65536, 1> = FiberPool::new();
/// static NETWORK: Event = Event::new(0);
///
/// let driver = SCHEDULER.spawn(&CELLS, || NETWORK.wait(Wanted::any(RECEIVED | SENT).and_clear()))?;
/// SCHEDULER.run_until_idle();
/// NETWORK.set(RECEIVED); // an interrupt handler may do this
/// SCHEDULER.run();
/// assert_eq!(driver.try_join().unwrap(), Ok(RECEIVED));
/// assert_eq!(NETWORK.get(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// When flags are set, the waiters are examined in the order in which they arrived. A waiter that
/// clears its flags takes them away from those behind it.
pub struct Event {
    flags: Locked<Flags>,
}

struct Flags {
    set: u32,
    line: Line,
}

/// The flags that a fiber waits for, and whether it clears them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    flags: u32,
    needs_all: bool,
    clears: bool,
}

impl Wanted {
    /// Waits for at least one of these flags. With no flags, the wait never ends.
    #[must_use]
    pub const fn any(flags: u32) -> Self {
        Self {
            flags,
            needs_all: false,
            clears: false,
        }
    }

    /// Waits for all of these flags. With no flags, the wait ends at once.
    #[must_use]
    pub const fn all(flags: u32) -> Self {
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

    /// Returns those of the wanted flags that are in `set`, if they satisfy the wait.
    const fn find_in(self, set: u32) -> Option<u32> {
        let found = self.flags & set;
        let is_enough = if self.needs_all {
            found == self.flags
        } else {
            found != 0
        };
        if is_enough { Some(found) } else { None }
    }
}

/// The request that the note of a waiter points to.
struct Request {
    wanted: Wanted,
    found: u32,
}

impl Flags {
    fn take(&mut self, wanted: Wanted) -> Option<u32> {
        let found = wanted.find_in(self.set)?;
        if wanted.clears {
            self.set &= !found;
        }
        Some(found)
    }

    fn leave(&mut self, waiter: &Waiter) -> Served {
        self.line.remove(waiter);
        Served::nobody()
    }
}

impl Event {
    /// Creates an event group in which these flags are set.
    #[must_use]
    pub const fn new(flags: u32) -> Self {
        Self {
            flags: Locked::new(Flags {
                set: flags,
                line: Line::new(),
            }),
        }
    }

    /// Returns the flags that are set.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn get(&self) -> u32 {
        self.flags.with(|flags| flags.set)
    }

    /// Sets flags, and wakes the fibers whose waits they satisfy. Returns the flags that are set
    /// afterwards.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing; interrupts are off
    /// for a time that is proportional to the number of waiting fibers.
    pub fn set(&self, flags: u32) -> u32 {
        let mut served = Served::nobody();
        let set = self.flags.with(|state| {
            state.set |= flags;
            let mut next = state.line.first();
            while let Some(waiter) = next {
                next = waiter.behind();
                // SAFETY: `wait_until` has it point to its request, which only this lock's holder
                // touches (L1).
                let request = unsafe { &mut *waiter.note.get().cast::<Request>() };
                if let Some(found) = request.wanted.find_in(state.set) {
                    request.found = found;
                    if request.wanted.clears {
                        state.set &= !found;
                    }
                    state.line.serve(waiter, &mut served);
                }
            }
            state.set
        });
        served.wake();
        set
    }

    /// Clears flags. Returns the flags that were set before.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    pub fn clear(&self, flags: u32) -> u32 {
        self.flags.with(|state| {
            let before = state.set;
            state.set &= !flags;
            before
        })
    }

    /// Returns those of the wanted flags that are set if they satisfy `wanted`, and `None`
    /// otherwise.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn try_wait(&self, wanted: Wanted) -> Option<u32> {
        self.flags.with(|flags| flags.take(wanted))
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
    pub fn wait(&self, wanted: Wanted) -> Result<u32, WaitError> {
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
    pub fn wait_timeout(&self, wanted: Wanted, timeout: Duration) -> Result<u32, WaitError> {
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
    pub fn wait_until(&self, wanted: Wanted, deadline: Nanoseconds) -> Result<u32, WaitError> {
        let waiter = Waiter::new(current::waiting_fiber());
        let mut request = Request { wanted, found: 0 };
        let request: *mut Request = &raw mut request;
        waiter.note.set(request.cast());
        let found = self.flags.with(|flags| {
            let found = flags.take(wanted);
            if found.is_none() {
                // SAFETY: it is new, and waits next, which keeps it and its request in place.
                unsafe { flags.line.push(&raw const waiter) };
            }
            found
        });
        if let Some(found) = found {
            return Ok(found);
        }
        let object = ptr::from_ref(self).cast();
        waiter.wait(&self.flags, &KIND, object, deadline, Flags::leave)?;
        // SAFETY: it was served, so nobody else touches it any more.
        Ok(unsafe { (*request).found })
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({:#034b})", self.get())
    }
}
