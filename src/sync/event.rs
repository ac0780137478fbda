//! The event group: 32 flags that fibers wait for, any of some or all of them.

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

/// # Safety
///
/// As [`Leave`](crate::scheduler::task::wait::Leave) says.
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

/// 32 flags, set by anyone, waited for by fibers.
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
/// When flags are set, the waiters are looked at in the order in which they came; one that clears takes its flags away from
/// those behind it.
pub struct Event {
    flags: Locked<Flags>,
}

struct Flags {
    set: u32,
    line: Line,
}

/// Which flags a fiber waits for, and whether it clears them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    flags: u32,
    needs_all: bool,
    clears: bool,
}

impl Wanted {
    /// At least one of these flags. Of none, none is ever set: such a wait does not end.
    #[must_use]
    pub const fn any(flags: u32) -> Self {
        Self {
            flags,
            needs_all: false,
            clears: false,
        }
    }

    /// All of these flags. All of none are always set.
    #[must_use]
    pub const fn all(flags: u32) -> Self {
        Self {
            flags,
            needs_all: true,
            clears: false,
        }
    }

    /// Those of them that are set are cleared when the wait ends.
    #[must_use]
    pub const fn and_clear(mut self) -> Self {
        self.clears = true;
        self
    }

    /// Those of them that are set, if they are enough.
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

/// What a waiter's note points to.
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
    /// Returns an event group with these flags set.
    #[must_use]
    pub const fn new(flags: u32) -> Self {
        Self {
            flags: Locked::new(Flags {
                set: flags,
                line: Line::new(),
            }),
        }
    }

    /// The flags that are set.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn get(&self) -> u32 {
        self.flags.with(|flags| flags.set)
    }

    /// Sets flags, and wakes those for whom they are enough. Returns the flags that are set afterwards.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing; with interrupts off it takes as long as there
    /// are fibers to look at.
    pub fn set(&self, flags: u32) -> u32 {
        let mut served = Served::nobody();
        let set = self.flags.with(|state| {
            state.set |= flags;
            let mut next = state.line.first();
            while let Some(waiter) = next {
                next = waiter.behind();
                // SAFETY: `wait_until` has it point to its request, which only this lock's holder touches (L1).
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

    /// Clears flags. Returns those that were set before.
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

    /// Returns the wanted flags that are set, if they are enough; nothing otherwise.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn try_wait(&self, wanted: Wanted) -> Option<u32> {
        self.flags.with(|flags| flags.take(wanted))
    }

    /// Waits until enough of the wanted flags are set, and returns those of them that are.
    ///
    /// # Errors
    ///
    /// [`WaitError::Cancelled`] if the fiber is asked to end.
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

    /// As [`wait`](Self::wait), but waits no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and [`WaitError::TimedOut`].
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn wait_timeout(&self, wanted: Wanted, timeout: Duration) -> Result<u32, WaitError> {
        self.wait_until(wanted, after(timeout))
    }

    /// As [`wait`](Self::wait), but waits no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and [`WaitError::TimedOut`].
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
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
