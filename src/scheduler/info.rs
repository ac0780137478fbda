//! The list of all fibers, like the process list of an operating system.

use crate::platform::{Core, Nanoseconds, interrupts};
use crate::scheduler::cpu::current;
use crate::scheduler::fail::failing;
use crate::scheduler::report::failure::Failure;
use crate::scheduler::run_loop::RunLoop;
#[cfg(feature = "smp")]
use crate::scheduler::task::control::Extra;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::id::FiberId;
use crate::scheduler::task::priority::Priority;
use crate::scheduler::task::wait::{Wait, WaitReason};
use crate::stack::{StackBounds, StackUsage, usage_of};
use core::fmt;
use core::panic::Location;
use core::ptr;
#[cfg(feature = "smp")]
use core::sync::atomic::Ordering;

/// A snapshot of one fiber.
#[derive(Clone, Copy, Debug)]
pub struct FiberInfo {
    /// The id of the fiber.
    pub id: FiberId,
    /// The name of the fiber, or an empty string if it has none.
    pub name: &'static str,
    /// The priority of the fiber, including what it inherits. For a fiber of another core, which runs,
    /// it is the one that it was given.
    pub priority: Priority,
    /// The core that the fiber runs on, or ran on last.
    pub core: Core,
    /// What the fiber is doing.
    pub state: FiberState,
    /// How many times the fiber was switched to.
    pub switches: u64,
    /// The longest time for which a [`Watchdog`](crate::scheduler::Watchdog) saw the fiber run
    /// without letting others run. It is measured by ticks and rounded down to microseconds. It is
    /// 0 if the fiber never ran through three ticks in a row.
    pub longest_run: Nanoseconds,
    /// The bounds of the fiber's stack.
    pub stack: StackBounds,
}

/// What a fiber is doing.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum FiberState {
    /// The fiber is running.
    Running,
    /// The fiber is ready, and waits for its turn to run.
    Ready,
    /// The fiber waits for something.
    Waiting {
        /// The kind of thing for which the fiber waits.
        reason: WaitReason,
        /// The address of the thing, or null.
        object: *const (),
        /// Where in the source the fiber waits.
        location: &'static Location<'static>,
    },
    /// The closure of the fiber has returned, and nobody has taken the result yet.
    Finished,
    /// The fiber panicked or faulted. Its cell is lost.
    Failed(&'static Failure),
    /// The fiber belongs to another core, and does not wait: it runs there, or is ready to.
    OnAnotherCore,
}

impl FiberState {
    fn waiting(wait: &Wait) -> Self {
        Self::Waiting {
            reason: wait.reason(),
            object: wait.object,
            location: wait.location,
        }
    }
}

impl FiberInfo {
    /// Returns a snapshot of a fiber of the scheduler, or `None` if no fiber lives in the cell. If
    /// the fiber belongs to another core, which runs, the snapshot is a poor one.
    ///
    /// # Safety
    ///
    /// The header is that of a cell, and the pointer is valid for the whole control block. The
    /// caller is the owner of `owned`.
    #[cfg(feature = "smp")]
    pub(crate) unsafe fn of_any(fiber: *const Header, owned: &RunLoop) -> Option<Self> {
        // SAFETY: a header in the list has had a fiber, so it has a loop.
        let its_loop = || unsafe { RunLoop::of(fiber) };
        // Asked before its loop: a cell whose fiber has ended may get one of another loop meanwhile.
        // SAFETY: headers stay readable for good.
        let is_alive = || unsafe { !(*fiber).state.is_finished() };
        if is_alive() && ptr::eq(its_loop(), owned) {
            // SAFETY: the caller's promise. It stays there, since the owner alone gives it away.
            return unsafe { Self::of(fiber) };
        }
        let other = its_loop();
        let looked = other.visit(|| {
            let is_there = is_alive() && ptr::eq(its_loop(), other);
            // SAFETY: it is of this loop, which is owned, and stays there.
            is_there.then(|| unsafe { Self::of(fiber) })
        });
        match looked.flatten() {
            Some(info) => info,
            // SAFETY: the caller's promise.
            None => unsafe { Self::of_elsewhere(fiber) },
        }
    }

    /// Returns a snapshot of a fiber of the scheduler, which has one core.
    ///
    /// # Safety
    ///
    /// As [`of`](Self::of).
    #[cfg(not(feature = "smp"))]
    #[inline(always)]
    pub(crate) unsafe fn of_any(fiber: *const Header, _owned: &RunLoop) -> Option<Self> {
        // SAFETY: the caller's promise.
        unsafe { Self::of(fiber) }
    }

    /// Returns what is known of a fiber whose loop runs on another core. If it waits it is kept from
    /// going on meanwhile.
    ///
    /// # Safety
    ///
    /// As [`of_any`](Self::of_any).
    #[cfg(feature = "smp")]
    unsafe fn of_elsewhere(fiber: *const Header) -> Option<Self> {
        // SAFETY: the caller's promise.
        let header = unsafe { &*fiber };
        // SAFETY: a header in the list has had a fiber, so it has a loop.
        let held = unsafe { RunLoop::of(fiber) }.hold_one(fiber);
        // SAFETY: V1: the record of its wait stays as it is.
        let wait = unsafe { held.has(fiber).then(|| header.waits_for()).flatten() };
        let were_enabled = interrupts::are_enabled();
        interrupts::disable();
        let is_held = header.state.hold();
        // While it is held, the cell is not used again, and what `spawn` wrote stays.
        // SAFETY: only cells are looked at.
        let found = is_held.then(|| unsafe { Self::of_held_elsewhere(fiber, wait) });
        if is_held {
            header.state.end_look();
        }
        if were_enabled {
            interrupts::enable();
        }
        found
    }

    /// # Safety
    ///
    /// As [`of_elsewhere`](Self::of_elsewhere), and the fiber is held.
    #[cfg(feature = "smp")]
    unsafe fn of_held_elsewhere(fiber: *const Header, wait: Option<&Wait>) -> Self {
        // SAFETY: the caller's promise.
        let header = unsafe { &*fiber };
        // SAFETY: only cells are looked at.
        let state = match unsafe { failing::failure(fiber) } {
            Some(failure) => FiberState::Failed(failure),
            None if header.state.is_finished() => FiberState::Finished,
            None => wait.map_or(FiberState::OnAnotherCore, FiberState::waiting),
        };
        // SAFETY: as above.
        let extra = unsafe { Extra::of(fiber) };
        let level = extra.lending.level.load(Ordering::Relaxed);
        Self {
            // SAFETY: it is alive, or held.
            id: unsafe { FiberId::of(header) },
            name: header.name(),
            priority: Priority::new(level).expect("levels come from priorities"),
            // SAFETY: it had a fiber, so it has a loop.
            core: unsafe { RunLoop::of(fiber) }.core(),
            state,
            switches: header.dispatches().get(),
            longest_run: Nanoseconds::from(header.longest_run()) * 1000,
            // SAFETY: the header is of a cell that has, or had, a fiber.
            stack: unsafe { Header::stack(header) },
        }
    }

    /// Returns a snapshot of a fiber, or `None` if no fiber lives in the cell.
    ///
    /// # Safety
    ///
    /// The header is that of a cell, and the pointer is valid for the whole control block. The
    /// caller is the owner of the header's run loop, or nothing runs in that loop.
    pub(crate) unsafe fn of(fiber: *const Header) -> Option<Self> {
        // SAFETY: the caller's promise.
        let state = unsafe { &(*fiber).state };
        // The result of a finished fiber may be taken elsewhere, and its cell used again, while we
        // look. A handler on this core that did so would wait for us.
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
    /// As [`of`](Self::of). In addition, if the fiber has finished, its cell is not given back
    /// meanwhile.
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
            FiberState::waiting(wait)
        } else {
            FiberState::Ready
        };
        Some(Self {
            // SAFETY: it is alive.
            id: unsafe { FiberId::of(header) },
            name: header.name(),
            priority: Priority::new(header.level.get()).expect("levels come from priorities"),
            // SAFETY: it had a fiber, so it has a loop.
            core: unsafe { RunLoop::of(fiber) }.core(),
            state,
            switches: header.dispatches().get() + u64::from(matches!(state, FiberState::Running)),
            longest_run: Nanoseconds::from(header.longest_run()) * 1000,
            // SAFETY: the header is of a cell that has, or had, a fiber.
            stack: unsafe { Header::stack(header) },
        })
    }

    /// Measures how much of its stack the fiber has ever used. Reads up to the whole stack.
    #[must_use]
    pub fn stack_usage(&self) -> StackUsage {
        // SAFETY: cells stay readable for good.
        unsafe { usage_of(self.stack) }
    }
}

/// How much of the stack of one cell was ever used, by all fibers that lived in it.
///
/// Its `Display` is the line that `cargo kfiber stacks` reads: `stack used=700 size=16384 NAME`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HighWaterMark {
    /// The name of the last fiber that lived in the cell.
    pub name: &'static str,
    /// How much of the stack was used.
    pub usage: StackUsage,
}

impl fmt::Display for HighWaterMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StackUsage {
            used_bytes,
            size_bytes,
            ..
        } = self.usage;
        write!(f, "stack used={used_bytes} size={size_bytes} {}", self.name)
    }
}

impl HighWaterMark {
    /// Measures a cell of the scheduler. If it belongs to another core, which runs, its fiber must wait
    /// or have ended.
    ///
    /// # Safety
    ///
    /// The header is in the list of the scheduler. The caller is the owner of `owned`.
    #[cfg(feature = "smp")]
    pub(crate) unsafe fn of_any(header: *const Header, owned: &RunLoop) -> Option<Self> {
        // SAFETY: a header in the list has had a fiber, so it has a loop.
        let its_loop = || unsafe { RunLoop::of(header) };
        // SAFETY: the loop is owned.
        let of = || unsafe { Self::of(header) };
        if ptr::eq(its_loop(), owned) {
            return of();
        }
        let other = its_loop();
        let looked = other.visit(|| ptr::eq(its_loop(), other).then(of).flatten());
        if looked.is_some() {
            return looked.flatten();
        }
        let held = other.hold_one(header);
        if held.has(header) {
            return of(); // V1: its stack stays as it is
        }
        // SAFETY: headers in the list stay for good.
        let state = unsafe { &(*header).state };
        let were_enabled = interrupts::are_enabled();
        interrupts::disable();
        let has_ended = state.begin_look();
        let found = has_ended.then(of).flatten();
        if has_ended {
            state.end_look();
        }
        if were_enabled {
            interrupts::enable();
        }
        found
    }

    /// Measures a cell of the scheduler, which has one core.
    ///
    /// # Safety
    ///
    /// As [`of`](Self::of).
    #[cfg(not(feature = "smp"))]
    #[inline(always)]
    pub(crate) unsafe fn of_any(header: *const Header, _owned: &RunLoop) -> Option<Self> {
        // SAFETY: the caller's promise.
        unsafe { Self::of(header) }
    }

    /// Measures a cell that has, or had, a fiber. Returns `None` if that fiber failed, perhaps for
    /// lack of stack.
    ///
    /// # Safety
    ///
    /// The header is in the list of a loop. The caller is the loop's owner, or nothing runs in the
    /// loop.
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
