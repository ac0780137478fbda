//! Ends a fiber that failed: whether it can be done, and what happens to those who depend on it.
//!
//! To everybody else it is as if the fiber stood still for ever where it failed. Its stack, the
//! closure and everything on it stay as they are, and whatever it borrowed or locked stays borrowed
//! or locked. Those who would wait for it are told.
//!
//! - **X1**: a failed fiber never runs again, and its cell is never used again. What lies there
//!   therefore stays permanently.

use crate::context::ControlBlock;
use crate::scheduler::cpu::{current, forbid};
use crate::scheduler::fail::scope_end::leave_scope;
use crate::scheduler::lock_free::joiner::Joiner;
use crate::scheduler::queue::all::is_whole;
use crate::scheduler::report::failure::{Failure, FiberFailed};
use crate::scheduler::report::fatal_reason::FatalReason;
use crate::scheduler::run_loop::{RunLoop, wake};
use crate::scheduler::task::control::{Extra, result_of};
use crate::scheduler::task::header::Header;
use crate::scheduler::task::id::FiberId;
use crate::scheduler::task::wait::WaitReason;
use crate::trace::points;
use core::ptr;

/// Marks the running fiber as failed and returns it, or returns the reason why it cannot be ended
/// here.
///
/// The caller has checked the interrupt flag.
pub(crate) fn begin() -> Result<*const Header, FatalReason> {
    let fiber = current::get();
    if fiber.is_null() {
        return Err(FatalReason::NotInFiber);
    }
    // SAFETY: a fiber that runs is alive.
    let header = unsafe { &*fiber };
    if header.state.is_failed() {
        return Err(FatalReason::FailedTwice);
    }
    // SAFETY: as above.
    let run_loop = unsafe { RunLoop::of(fiber) };
    // In a function of the platform that the fiber's own wait called, nothing is half-changed yet. The
    // fiber may be in a queue of waiters, which it leaves at its end.
    let is_in_platform = current::is_in_platform_by_fiber();
    let is_about_to_wait = !header.wait.get().is_null() && !is_in_platform;
    if !run_loop.ready.is_first(fiber) || header.state.is_waiting() || is_about_to_wait {
        return Err(FatalReason::InsideScheduler);
    }
    if current::is_waiting_forbidden() && !is_in_platform {
        return Err(FatalReason::WaitingForbidden);
    }
    if !run_loop.has_hooks() {
        return Err(FatalReason::NoHooks);
    }
    let _was_not = header.state.fail();
    // Hooks and whatever else is called from here on must not wait.
    let _could = forbid::forbid_waiting();
    Ok(fiber)
}

/// Records what happened, reports it, and tells those who wait for the fiber. After that only the
/// switch is left.
///
/// # Safety
///
/// [`begin`] returned the fiber, and the caller is the loop's owner, or has interrupted it. What
/// the failure refers to stays permanently.
pub(crate) unsafe fn end(fiber: *const Header, failure: Failure) {
    points::failure(fiber);
    // SAFETY: it runs, and does not continue. The caller is the owner or has interrupted it, and
    // `begin` has found that nothing is half-changed.
    unsafe { leave_wait(fiber) };
    // A result that is already there is overwritten, and its destructor never runs.
    // SAFETY: it is a cell's.
    unsafe { Extra::of(fiber) }.has_result.set(false);
    // SAFETY: X1: the place is in the fiber's stack, below all that is still wanted there: see
    // `spawn`.
    unsafe { result_of::<Failure>(fiber).write(failure) };
    // SAFETY: it runs.
    let header = unsafe { &*fiber };
    // SAFETY: as above.
    let id = unsafe { FiberId::of(fiber) };
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(fiber) };
    run_loop.report_failure(&FiberFailed {
        id,
        name: header.name(),
        failure,
    });
    // SAFETY: it is a cell's.
    let joiner = unsafe { Extra::of(fiber) }.joiner.end();
    let _is_detached = header.state.finish();
    match joiner {
        // SAFETY: it waits until the other has finished; a wake too many does no harm.
        Some(Joiner::Fiber(joiner)) => unsafe { wake(joiner) },
        Some(Joiner::Waker(waker)) => waker.wake(),
        None => {}
    }
    wake_those_it_keeps(run_loop, fiber);
    #[cfg(feature = "smp")]
    if !header.state.leave_scope() {
        return; // the last fiber that borrows from it does the rest
    }
    leave_scope(fiber);
}

/// Removes a fiber that is about to fail, and that waits or was about to wait, from the sleep queue
/// and from the queue of waiters in which it is. What it was given there goes to the next waiter.
///
/// # Safety
///
/// It is the running fiber, and does not continue. The caller is the owner of its loop, and holds
/// no lock.
pub(crate) unsafe fn leave_wait(fiber: *const Header) {
    // SAFETY: it runs.
    let header = unsafe { &*fiber };
    let record = header.wait.replace(ptr::null());
    // If the stack above has overwritten the block, this word may be anything.
    if !is_whole(header) {
        return;
    }
    // SAFETY: the record is on the fiber's stack, which it has not left since it put it there.
    let Some(wait) = (unsafe { record.as_ref() }) else {
        return;
    };
    if wait.is_sleeping() {
        // SAFETY: it runs.
        let run_loop = unsafe { RunLoop::of(fiber) };
        // SAFETY: it is in there.
        unsafe { run_loop.sleepers.remove(wait) };
    }
    if let Some(leave) = wait.kind().leave {
        // SAFETY: both are of this wait: `block_on` was given a pointer that is valid for the whole
        // place in the line, which begins with the record. The rest is the caller's promise.
        unsafe { leave(wait.object, record.cast()) };
    }
}

/// Does nothing: a failed fiber that has left its stack keeps its cell (**X1**).
pub(crate) const unsafe extern "sysv64" fn stay(_block: *mut ControlBlock) {}

/// Wakes all fibers that may wait for something that the failed fiber holds, or for a wake-up that
/// it was given and did not use, so that they check again.
fn wake_those_it_keeps(run_loop: &RunLoop, failed: *const Header) {
    run_loop.count_failure();
    for fiber in run_loop.team().all.iter() {
        // SAFETY: headers stay readable for good.
        let header = unsafe { &*fiber };
        if ptr::eq(fiber, failed) {
            continue;
        }
        // Only its owner knows for what a fiber of another loop waits, or whether it is about to: it
        // may have looked for failures already, and not say yet that it waits. The wake-up keeps it
        // from waiting before it has looked again.
        #[cfg(feature = "smp")]
        // SAFETY: headers stay readable for good.
        if !ptr::eq(unsafe { RunLoop::of(fiber) }, run_loop) {
            // SAFETY: as above; a wake too many does no harm, not even to a cell without a fiber.
            unsafe { wake(fiber) };
            continue;
        }
        if !header.state.is_waiting() {
            continue;
        }
        // SAFETY: we are the owner, or have interrupted it, and the fiber waits.
        let wait = unsafe { header.waits_for() };
        let reason = wait.map(|wait| wait.reason());
        if let Some(
            WaitReason::Mutex
            | WaitReason::Read
            | WaitReason::Write
            | WaitReason::Once
            | WaitReason::WaitQueue,
        ) = reason
        {
            // SAFETY: it waits, so it is alive; a wake too many does no harm.
            unsafe { wake(fiber) };
        }
    }
}

/// Returns the failure of a fiber that has failed and ended.
///
/// # Safety
///
/// The header is that of a cell.
#[inline(always)]
pub(crate) unsafe fn failure(header: *const Header) -> Option<&'static Failure> {
    // SAFETY: headers stay readable for good.
    let state = unsafe { &(*header).state };
    // SAFETY: `end` put it there before the state said so, and X1.
    (state.is_failed() && state.is_finished()).then(|| unsafe { &*result_of::<Failure>(header) })
}
