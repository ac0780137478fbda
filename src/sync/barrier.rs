//! The barrier, at which a fixed number of fibers wait for each other.

use super::line::{Line, Served, Waiter};
use super::locked::Locked;
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::cpu::current;
use crate::scheduler::task::wait::{Giver, Kind};
use crate::scheduler::{WaitError, WaitReason, after};
use core::fmt;
use core::ptr;
use core::time::Duration;

static KIND: Kind = Kind::in_line(WaitReason::Barrier, Giver::Fibers, leave_failed);

/// Removes a fiber that failed while it waited, so that it no longer counts.
///
/// # Safety
///
/// The requirements of [`Leave`](crate::scheduler::task::wait::Leave) apply.
unsafe fn leave_failed(object: *const (), waiter: *const ()) {
    // SAFETY: the caller's promise.
    let (this, waiter) = unsafe { Waiter::of_failed::<Barrier>(object, waiter) };
    // If the barrier was already complete, the other fibers have gone on.
    let _does_not_count = waiter.has_left(&this.present, Present::leave);
}

/// A barrier, at which fibers wait until a given number of them has arrived. Then all of them
/// continue, and the barrier can be used again.
///
/// ```
/// use kfiber::{platform::Host, scheduler::{FiberPool, Scheduler}, sync::Barrier};
///
/// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
/// static CELLS: FiberPool<65536, 2> = FiberPool::new();
/// static BARRIER: Barrier = Barrier::new(2);
///
/// let fibers = [(); 2].map(|()| SCHEDULER.spawn(&CELLS, || BARRIER.wait().unwrap()).unwrap());
/// SCHEDULER.run();
/// let leaders = fibers.map(|fiber| fiber.try_join().unwrap().is_leader());
/// assert_eq!(leaders, [false, true]); // the one who came last
/// ```
pub struct Barrier {
    needed: usize,
    present: Locked<Present>,
}

struct Present {
    count: usize,
    line: Line,
}

/// The result of a wait at a [`Barrier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierTurn {
    is_leader: bool,
}

impl BarrierTurn {
    /// Returns whether this fiber arrived last. This is true for exactly one fiber of each turn.
    #[must_use]
    pub const fn is_leader(self) -> bool {
        self.is_leader
    }
}

impl Present {
    fn leave(&mut self, waiter: &Waiter) -> Served {
        self.line.remove(waiter);
        self.count -= 1;
        Served::nobody()
    }
}

impl Barrier {
    /// Creates a barrier for `needed` fibers. If `needed` is zero or one, no fiber waits.
    #[must_use]
    pub const fn new(needed: usize) -> Self {
        Self {
            needed,
            present: Locked::new(Present {
                count: 0,
                line: Line::new(),
            }),
        }
    }

    /// Waits until the number of fibers that the barrier needs has arrived.
    ///
    /// # Errors
    ///
    /// Returns [`WaitError::Cancelled`] if the fiber is cancelled. The fiber then does not count as
    /// having arrived.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn wait(&self) -> Result<BarrierTurn, WaitError> {
        self.wait_until(NEVER)
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
    pub fn wait_timeout(&self, timeout: Duration) -> Result<BarrierTurn, WaitError> {
        self.wait_until(after(timeout))
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
    pub fn wait_until(&self, deadline: Nanoseconds) -> Result<BarrierTurn, WaitError> {
        let waiter = Waiter::new(current::waiting_fiber());
        let mut served = Served::nobody();
        let is_leader = self.present.with(|present| {
            let is_last = present.count + 1 >= self.needed;
            if is_last {
                present.line.serve_all(&mut served);
                present.count = 0;
            } else {
                // SAFETY: it is new, and waits next, which keeps it in place.
                unsafe { present.line.push(&raw const waiter) };
                present.count += 1;
            }
            is_last
        });
        served.wake();
        if !is_leader {
            let object = ptr::from_ref(self).cast();
            waiter.wait(&self.present, &KIND, object, deadline, Present::leave)?;
        }
        Ok(BarrierTurn { is_leader })
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("needed", &self.needed)
            .finish_non_exhaustive()
    }
}
