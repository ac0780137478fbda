//! A look at all fibers: the process list.

use crate::platform::{Nanoseconds, interrupts};
use crate::scheduler::cpu::current;
use crate::scheduler::fail::failing;
use crate::scheduler::report::failure::Failure;
use crate::scheduler::task::control::Extra;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::id::FiberId;
use crate::scheduler::task::priority::Priority;
use crate::scheduler::task::wait::WaitReason;
use crate::stack::{StackBounds, StackUsage, usage_of};
use core::panic::Location;
use core::ptr;
use core::sync::atomic::Ordering;

/// One fiber, as it was when it was looked at.
#[derive(Clone, Copy, Debug)]
pub struct FiberInfo {
    /// Which one.
    pub id: FiberId,
    /// Its name, empty if it has none.
    pub name: &'static str,
    /// How urgent it is, counting what it inherits.
    pub priority: Priority,
    /// What it does.
    pub state: FiberState,
    /// How often it was switched to.
    pub switches: u64,
    /// The longest time that a [`Watchdog`](crate::scheduler::Watchdog) saw it run without letting others run, by ticks, rounded down to
    /// microseconds; 0 if it never ran from one tick over the next to a third.
    pub longest_run: Nanoseconds,
    /// Where its stack lies.
    pub stack: StackBounds,
}

/// What a fiber does.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum FiberState {
    /// It is the one that runs.
    Running,
    /// It waits for its turn.
    Ready,
    /// It waits for something.
    Waiting {
        /// For what kind of thing.
        reason: WaitReason,
        /// The address of the thing, or null.
        object: *const (),
        /// Where in the source.
        location: &'static Location<'static>,
    },
    /// Its closure has returned, and nobody took the result yet.
    Finished,
    /// It panicked or faulted. Its cell is lost.
    Failed(&'static Failure),
}

impl FiberInfo {
    /// Looks at a fiber; nothing if none lives there.
    ///
    /// # Safety
    ///
    /// The header is a cell's, by a pointer to all of its control block; the caller is the owner of its loop, or nothing runs
    /// in it.
    pub(crate) unsafe fn of(fiber: *const Header) -> Option<Self> {
        // SAFETY: the caller's promise.
        let state = unsafe { &(*fiber).state };
        // One that has finished may be taken elsewhere, and its cell used again, while we look; a handler on this core that
        // did so would wait for us.
        let were_enabled = interrupts::are_enabled();
        interrupts::disable();
        let is_held = state.begin_look();
        // SAFETY: the caller's promise.
        let found = unsafe { Self::of_held(fiber) };
        if is_held {
            state.end_look();
        }
        if were_enabled {
            interrupts::enable();
        }
        found
    }

    /// # Safety
    ///
    /// As [`of`](Self::of); if the fiber has finished, its cell is not given back meanwhile.
    unsafe fn of_held(fiber: *const Header) -> Option<Self> {
        // SAFETY: the caller's promise.
        let header = unsafe { &*fiber };
        let state = if ptr::eq(header, current::get()) {
            FiberState::Running
        // SAFETY: only cells are looked at.
        } else if let Some(failure) = unsafe { failing::failure(fiber) } {
            FiberState::Failed(failure)
        } else if header.state.is_finished() {
            if !header.state.is_looked_at() {
                return None;
            }
            FiberState::Finished
        // SAFETY: the caller's promise.
        } else if let Some(wait) = unsafe { header.waits_for() }
            && header.state.is_parked()
        {
            FiberState::Waiting {
                reason: wait.reason(),
                object: wait.object,
                location: wait.location,
            }
        } else {
            FiberState::Ready
        };
        // SAFETY: the caller's promise.
        let longest = unsafe { Extra::of(fiber) }
            .longest_run
            .load(Ordering::Relaxed);
        Some(Self {
            // SAFETY: it is alive.
            id: unsafe { FiberId::of(header) },
            name: header.name(),
            priority: Priority::new(header.level.get()).expect("levels come from priorities"),
            state,
            switches: header.turns().get() + u64::from(matches!(state, FiberState::Running)),
            longest_run: Nanoseconds::from(longest) * 1000,
            // SAFETY: the header is of a cell that has, or had, a fiber.
            stack: unsafe { Header::stack(header) },
        })
    }

    /// Measures how much of its stack the fiber ever used. Reads up to the whole stack.
    #[must_use]
    pub fn stack_usage(&self) -> StackUsage {
        // SAFETY: cells stay readable for good.
        unsafe { usage_of(self.stack) }
    }
}

/// How much of the stack of one cell was ever used, by all fibers that lived there.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HighWaterMark {
    /// The name of the last of them.
    pub name: &'static str,
    /// What was used.
    pub usage: StackUsage,
}

impl HighWaterMark {
    /// Looks at a cell that has, or had, a fiber; nothing if that failed, which may have been for want of stack.
    ///
    /// # Safety
    ///
    /// The header is in the list of a loop; the caller is the loop's owner, or nothing runs in it.
    pub(crate) unsafe fn of(header: *const Header) -> Option<Self> {
        // SAFETY: headers in the list stay for good.
        let fiber = unsafe { &*header };
        if fiber.state.is_failed() {
            return None;
        }
        // SAFETY: it had a fiber.
        let stack = unsafe { Header::stack(header) };
        // SAFETY: S1, of a cell, which stays readable for good.
        let usage = unsafe { usage_of(stack) };
        Some(Self {
            name: fiber.name(),
            usage,
        })
    }
}
