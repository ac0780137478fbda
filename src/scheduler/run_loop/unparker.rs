//! The handle that wakes one fiber, from anywhere.

use super::RunLoop;
use crate::scheduler::lock_free::state::{State, Woken};
use crate::scheduler::task::id::FiberId;

impl FiberId {
    /// Changes the state and does what follows from it. Returns whether the fiber is still there.
    pub(crate) fn signal(self, change: impl FnOnce(&State, u32) -> Woken) -> bool {
        // SAFETY: the header stays readable.
        let state = unsafe { &(*self.header).state };
        match change(state, self.generation) {
            Woken::Stale => return false,
            Woken::Nothing => {}
            Woken::Enqueue => {
                // SAFETY: it is parked, so it is alive.
                let run_loop: &RunLoop = unsafe { RunLoop::of(self.header) };
                // SAFETY: it waited, and nobody woke it before.
                unsafe { run_loop.post(self.header) };
            }
        }
        true
    }
}

/// Wakes one fiber from [`park`](crate::scheduler::park()), with the contract of `std::thread::park`: a wake that comes before the
/// fiber parks is kept, several count as one.
///
/// It may be copied, and kept after the fiber has ended: then it does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Unparker(pub(crate) FiberId);

impl Unparker {
    /// Wakes the fiber. Returns false if it has ended.
    ///
    /// It takes no lock. It tries again only if somebody else changed the fiber's state between two of its instructions: on
    /// one core, an interrupt handler that interrupted this one.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Lock-free. Blocks: nothing.
    pub fn unpark(self) -> bool {
        self.0.signal(State::give_token)
    }

    /// Which fiber it wakes.
    #[must_use]
    pub const fn id(self) -> FiberId {
        self.0
    }
}
