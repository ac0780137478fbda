//! Waking a fiber from anywhere, and computing the deadline of a wait with a timeout.

use super::RunLoop;
use crate::platform::{NEVER, Nanoseconds, interrupts};
use crate::scheduler::lock_free::state::Woken;
use crate::scheduler::task::header::Header;

/// Wakes a fiber that is known to be alive. It may be called from anywhere.
///
/// # Safety
///
/// `fiber` must be alive.
#[inline]
pub(crate) unsafe fn wake(fiber: *const Header) {
    #[cfg(feature = "smp")]
    // SAFETY: the caller's promise.
    let state = unsafe { &(*fiber).state };
    #[cfg(feature = "smp")]
    crate::atomic::expect_to_write(state);
    #[cfg(feature = "smp")]
    if state.wake() == Woken::Enqueue {
        // SAFETY: it waited, and nobody woke it before.
        unsafe { RunLoop::take_or_post(fiber) };
    }
    #[cfg(not(feature = "smp"))]
    // SAFETY: the caller's promise.
    let run_loop = unsafe { RunLoop::of(fiber) };
    #[cfg(not(feature = "smp"))]
    if run_loop.is_owner() {
        // SAFETY: the caller's promise.
        unsafe { run_loop.wake_own(fiber) };
    } else {
        // SAFETY: as above.
        unsafe { wake_from_elsewhere(fiber) };
    }
}

/// Behaves like [`wake`], in a fiber with interrupts on.
///
/// # Safety
///
/// `fiber` must be alive. The caller must be a fiber, and interrupts must be on.
#[inline(always)]
pub(crate) unsafe fn wake_by_fiber(fiber: *const Header) {
    debug_assert!(interrupts::are_enabled(), "the caller says so");
    #[cfg(feature = "smp")]
    // SAFETY: the caller's promise.
    unsafe {
        wake(fiber);
    };
    #[cfg(not(feature = "smp"))]
    // SAFETY: the caller's promise.
    let run_loop = unsafe { RunLoop::of(fiber) };
    #[cfg(not(feature = "smp"))]
    if run_loop.is_entered() {
        // SAFETY: the caller's promise. A fiber of the loop with interrupts on is its owner.
        unsafe { run_loop.wake_own(fiber) };
    } else {
        // SAFETY: as above.
        unsafe { wake_from_elsewhere(fiber) };
    }
}

/// Wakes a fiber of any loop, by its inbox.
///
/// # Safety
///
/// `fiber` must be alive.
#[cfg(not(feature = "smp"))]
#[cold]
#[inline(never)]
pub(crate) unsafe fn wake_from_elsewhere(fiber: *const Header) {
    // SAFETY: the caller's promise.
    if unsafe { (*fiber).state.wake() } == Woken::Enqueue {
        // SAFETY: it waited, so it is alive.
        let run_loop = unsafe { RunLoop::of(fiber) };
        // SAFETY: it waited, and nobody woke it before.
        unsafe { run_loop.post(fiber) };
    }
}

/// Returns the deadline that is `timeout` from now. The result saturates at the end of time.
pub(crate) fn deadline_after(run_loop: &RunLoop, timeout: core::time::Duration) -> Nanoseconds {
    let timeout = Nanoseconds::try_from(timeout.as_nanos()).unwrap_or(NEVER);
    run_loop.look_at_clock().saturating_add(timeout)
}
