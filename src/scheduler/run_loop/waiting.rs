//! The loop that every wait uses: it checks the condition and waits, until the condition holds, the
//! deadline passes, or the fiber is cancelled.

use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::run_loop::RunLoop;
use crate::scheduler::task::header::{Header, is_cancelled};
use crate::scheduler::task::wait::{Kind, Wait};
use crate::trace::points;
use core::fmt;
use core::panic::Location;

/// The reason why a wait ended without what was waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum WaitError {
    /// The deadline has passed.
    TimedOut,
    /// The fiber was cancelled: see [`JoinHandle::cancel`](crate::scheduler::JoinHandle::cancel).
    Cancelled,
}

debug_is_display!(WaitError);

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "the deadline has passed",
            Self::Cancelled => "the fiber was cancelled",
        })
    }
}

impl core::error::Error for WaitError {}

/// Waits until `is_done` returns true. Whoever changes its result has to wake the fiber.
///
/// `is_done` is evaluated once even if the deadline has already passed. `fiber` comes from
/// [`waiting_fiber`](crate::scheduler::cpu::current::waiting_fiber).
#[inline(always)]
#[track_caller]
pub(crate) fn wait_until(
    fiber: *const Header,
    kind: &'static Kind,
    object: *const (),
    deadline: Nanoseconds,
    is_done: impl FnMut() -> bool,
) -> Result<(), WaitError> {
    wait_heeding(fiber, kind, object, None, deadline, is_cancelled, is_done)
}

/// Behaves like [`wait_until`], for a fiber that stands in a line with this waiter.
#[inline(always)]
#[track_caller]
pub(crate) fn wait_in_line_until(
    waiter: *const (),
    fiber: *const Header,
    kind: &'static Kind,
    object: *const (),
    deadline: Nanoseconds,
    is_done: impl FnMut() -> bool,
) -> Result<(), WaitError> {
    let waiter = Some(waiter);
    wait_heeding(fiber, kind, object, waiter, deadline, is_cancelled, is_done)
}

/// Behaves like [`wait_in_line_until`], but a cancellation does not end the wait.
#[inline(always)]
#[track_caller]
pub(crate) fn wait_in_line_shielded_until(
    waiter: *const (),
    fiber: *const Header,
    kind: &'static Kind,
    object: *const (),
    deadline: Nanoseconds,
    is_done: impl FnMut() -> bool,
) -> Result<(), WaitError> {
    let waiter = Some(waiter);
    wait_heeding(
        fiber,
        kind,
        object,
        waiter,
        deadline,
        |_fiber| false,
        is_done,
    )
}

#[inline(always)]
#[track_caller]
fn wait_heeding(
    fiber: *const Header,
    kind: &'static Kind,
    object: *const (),
    waiter: Option<*const ()>,
    deadline: Nanoseconds,
    is_to_end: impl Fn(*const Header) -> bool,
    mut is_done: impl FnMut() -> bool,
) -> Result<(), WaitError> {
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(fiber) };
    let mut wait = Wait::new(kind, object, Location::caller(), run_loop.last_look());
    if let Some(waiter) = waiter {
        wait.waiter.write(waiter);
    }
    loop {
        #[cfg(feature = "smp")]
        // It may have moved to another core meanwhile.
        // SAFETY: it runs.
        let run_loop = unsafe { RunLoop::of(fiber) };
        if is_done() {
            return Ok(());
        }
        if is_to_end(fiber) {
            return Err(WaitError::Cancelled);
        }
        if deadline != NEVER && run_loop.look_at_clock() >= deadline {
            return Err(WaitError::TimedOut);
        }
        points::wait(kind.reason as u8, object, wait.location);
        // SAFETY: `waiting_fiber` says that it runs, and that we are the owner.
        unsafe { run_loop.block_on(fiber, &wait, deadline) };
    }
}

/// Behaves like [`wait_until`], but neither a deadline nor a cancellation ends the wait.
#[inline(always)]
#[track_caller]
pub(crate) fn wait_shielded(
    fiber: *const Header,
    kind: &'static Kind,
    object: *const (),
    is_done: impl FnMut() -> bool,
) {
    wait_shielded_at(Location::caller(), fiber, kind, object, is_done);
}

/// Behaves like [`wait_shielded`], and records `place` as the source location of the wait.
#[inline]
pub(crate) fn wait_shielded_at(
    place: &'static Location<'static>,
    fiber: *const Header,
    kind: &'static Kind,
    object: *const (),
    mut is_done: impl FnMut() -> bool,
) {
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(fiber) };
    let wait = Wait::new(kind, object, place, run_loop.last_look());
    while !is_done() {
        #[cfg(feature = "smp")]
        // SAFETY: it runs. It may have moved to another core meanwhile.
        let run_loop = unsafe { RunLoop::of(fiber) };
        points::wait(kind.reason as u8, object, place);
        // SAFETY: `waiting_fiber` says that it runs, and that we are the owner.
        unsafe { run_loop.block_on(fiber, &wait, NEVER) };
    }
}
