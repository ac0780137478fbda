//! The loop that every wait uses: it checks the condition and waits, until the condition holds, the
//! deadline passes, or the fiber is cancelled.

use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::run_loop::RunLoop;
use crate::scheduler::task::header::{Header, is_cancelled};
use crate::scheduler::task::wait::{Kind, Record, Wait};
use crate::trace::points;
use core::fmt;
use core::panic::Location;
use core::ptr;

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
    mut is_done: impl FnMut() -> bool,
) -> Result<(), WaitError> {
    if is_done() {
        return Ok(());
    }
    let record = Record::new();
    // SAFETY: it is new, and stays in place.
    unsafe { wait_heeding::<true>(&raw const record, fiber, kind, object, deadline, is_done) }
}

/// Behaves like [`wait_until`], for a fiber that is woken for certain when `is_done` becomes true.
/// This is true also if it became true since the fiber arranged for that, as long as the fiber has
/// not waited since then.
#[inline(always)]
#[track_caller]
pub(crate) fn wait_to_be_told(
    fiber: *const Header,
    kind: &'static Kind,
    object: *const (),
    deadline: Nanoseconds,
    is_done: impl FnMut() -> bool,
) -> Result<(), WaitError> {
    let record = Record::new();
    // SAFETY: it is new, and stays in place.
    unsafe { wait_heeding::<true>(&raw const record, fiber, kind, object, deadline, is_done) }
}

/// Behaves like [`wait_until`], for a fiber that stands in a line, in a place that begins with this
/// record.
///
/// The fiber must not have waited since it is in the line, so that whoever has changed the result
/// of `is_done` by now has also woken it.
///
/// # Safety
///
/// `record` must be valid for the whole place, which must be what the [kind](Kind::leave) of the wait
/// expects. It must stay valid until this function returns, or until the fiber has left the line
/// because it fails. No other wait may use it.
#[inline(always)]
#[track_caller]
pub(crate) unsafe fn wait_in_line_until(
    record: *const Record,
    fiber: *const Header,
    kind: &'static Kind,
    object: *const (),
    deadline: Nanoseconds,
    is_done: impl FnMut() -> bool,
) -> Result<(), WaitError> {
    // SAFETY: the caller's promise.
    unsafe { wait_heeding::<true>(record, fiber, kind, object, deadline, is_done) }
}

/// Behaves like [`wait_in_line_until`], but a cancellation does not end the wait, and `is_done` may
/// be true from the beginning.
///
/// # Safety
///
/// The requirements of [`wait_in_line_until`] apply.
#[inline(always)]
#[track_caller]
pub(crate) unsafe fn wait_in_line_shielded_until(
    record: *const Record,
    fiber: *const Header,
    kind: &'static Kind,
    object: *const (),
    deadline: Nanoseconds,
    mut is_done: impl FnMut() -> bool,
) -> Result<(), WaitError> {
    if is_done() {
        return Ok(());
    }
    // SAFETY: the caller's promise.
    unsafe { wait_heeding::<false>(record, fiber, kind, object, deadline, is_done) }
}

/// Waits at least once, unless the fiber was woken, or the wait is to end for another reason.
///
/// # Safety
///
/// `record` must be valid, and stay valid until this function returns or the fiber has failed. No
/// other wait may use it. If the wait is one in a line, the requirements of [`wait_in_line_until`]
/// apply.
#[inline(always)]
#[track_caller]
unsafe fn wait_heeding<const HEEDS_CANCELLATION: bool>(
    record: *const Record,
    fiber: *const Header,
    kind: &'static Kind,
    object: *const (),
    deadline: Nanoseconds,
    mut is_done: impl FnMut() -> bool,
) -> Result<(), WaitError> {
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(fiber) };
    let place = Location::caller();
    // SAFETY: the caller's promise.
    let wait =
        unsafe { Record::write(record, Wait::new(kind, object, place, run_loop.last_look())) };
    loop {
        #[cfg(feature = "smp")]
        // It may have moved to another core meanwhile.
        // SAFETY: it runs.
        let run_loop = unsafe { RunLoop::of(fiber) };
        if deadline != NEVER && is_due(run_loop, fiber, wait, deadline) {
            return Err(if HEEDS_CANCELLATION && was_cancelled(fiber) {
                WaitError::Cancelled
            } else {
                WaitError::TimedOut
            });
        }
        points::wait(kind.reason as u8, object, place);
        // SAFETY: `waiting_fiber` says that it runs, and that we are the owner. The record stays in
        // place, by the caller's promise.
        unsafe { run_loop.block_on::<HEEDS_CANCELLATION>(fiber, wait, deadline) };
        if is_done() {
            return Ok(());
        }
        if was_cancelled(fiber) && HEEDS_CANCELLATION {
            return Err(WaitError::Cancelled);
        }
    }
}

/// Returns whether the deadline of a wait has passed. If the clock fails, the fiber leaves the wait.
#[inline(always)]
fn is_due(
    run_loop: &RunLoop,
    fiber: *const Header,
    wait: *const Wait,
    deadline: Nanoseconds,
) -> bool {
    // SAFETY: it runs.
    let place = unsafe { &(*fiber).wait };
    place.set(wait);
    let is_due = run_loop.look_at_clock() >= deadline;
    place.set(ptr::null());
    is_due
}

/// Returns whether the running fiber was cancelled. It is out of line so that the compiler does not
/// take the loop around it for one that goes round often.
#[cold]
#[inline(never)]
fn was_cancelled(fiber: *const Header) -> bool {
    is_cancelled(fiber)
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
        // SAFETY: `waiting_fiber` says that it runs, and that we are the owner. The record is a local.
        unsafe { run_loop.block_on::<false>(fiber, &raw const wait, NEVER) };
    }
}
