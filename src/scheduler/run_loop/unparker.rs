//! The handle that wakes one fiber from anywhere.

use super::RunLoop;
use crate::atomic::IS_ONE_CORE;
#[cfg(kfiber_steps)]
use crate::atomic::{Mistake, is_planted, spin_loop};
use crate::scheduler::lock_free::state::{TOKEN, Woken};
use crate::scheduler::task::id::FiberId;

impl FiberId {
    /// Sets this bit in the state of the fiber, and wakes the fiber. Returns whether it still exists.
    #[inline]
    pub(crate) fn signal<const BIT: u64>(self) -> bool {
        // SAFETY: the header stays readable.
        if unsafe { &(*self.header).state }.post::<BIT>(self.generation) {
            // SAFETY: it is parked, so it is alive.
            let run_loop = unsafe { RunLoop::of(self.header) };
            // SAFETY: as above, and nobody woke it before.
            unsafe { run_loop.post(self.header) };
            return true;
        }
        if IS_ONE_CORE {
            // This is the last that is called, so nothing is saved for it.
            self.signal_aside(BIT)
        } else {
            self.signal_any(BIT)
        }
    }

    #[cold]
    #[inline(never)]
    fn signal_aside(self, bit: u64) -> bool {
        self.signal_any(bit)
    }

    #[inline(always)]
    fn signal_any(self, bit: u64) -> bool {
        // SAFETY: the header stays readable.
        let state = unsafe { &(*self.header).state };
        #[cfg(kfiber_steps)]
        // SAFETY: headers stay readable for good.
        let early = unsafe { RunLoop::of(self.header) };
        #[cfg(kfiber_steps)]
        if is_planted(Mistake::LoopReadFirst) {
            // Steps in which the fiber can be woken by another, move, and wait again.
            for _ in 0..64 {
                spin_loop();
            }
        }
        match state.signal(self.generation, bit) {
            Woken::Stale => return false,
            Woken::Nothing => {}
            Woken::Enqueue => {
                // SAFETY: it is parked, so it is alive.
                let run_loop: &RunLoop = unsafe { RunLoop::of(self.header) };
                #[cfg(kfiber_steps)]
                let run_loop = if is_planted(Mistake::LoopReadFirst) {
                    early
                } else {
                    run_loop
                };
                // SAFETY: it waited, and nobody woke it before.
                unsafe { run_loop.post(self.header) };
            }
        }
        true
    }
}

/// A handle that wakes one fiber from [`park`](crate::scheduler::park()), with the contract of
/// `std::thread::park`: a wake-up that arrives before the fiber parks is kept, and several of them
/// count as one.
///
/// The handle may be copied, and may be kept after the fiber has ended. It then has no effect.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Unparker(pub(crate) FiberId);

impl Unparker {
    /// Wakes the fiber. Returns false if the fiber has ended.
    ///
    /// The function takes no lock. It retries only if the state of the fiber was changed between
    /// two of its instructions. On one core, only an interrupt handler that interrupts it can do
    /// that.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Lock-free. Blocks: nothing.
    #[expect(
        clippy::must_use_candidate,
        reason = "most do not ask whether it has ended"
    )]
    pub fn unpark(self) -> bool {
        self.0.signal::<TOKEN>()
    }

    /// Returns the id of the fiber that the handle wakes.
    #[must_use]
    pub const fn id(self) -> FiberId {
        self.0
    }
}
