//! What a fiber does with itself: it yields, parks, sleeps, and asks who it is and whether it is
//! cancelled.

use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::cpu::current as running;
use crate::scheduler::run_loop::unparker::Unparker;
use crate::scheduler::run_loop::waiting::{WaitError, wait_to_be_told, wait_until};
use crate::scheduler::run_loop::{RunLoop, deadline_after};
use crate::scheduler::task::header;
use crate::scheduler::task::id::FiberId;
use crate::scheduler::task::wait::{Giver, Kind, WaitReason};
use core::ptr;
use core::time::Duration;

static PARK: Kind = Kind::new(WaitReason::Park, Giver::Anybody);
static SLEEP: Kind = Kind::new(WaitReason::Sleep, Giver::Anybody);

/// Yields to the other ready fibers of the same priority, each of which runs once, or to a fiber of
/// higher priority if one is ready.
///
/// It takes no lock and does not change the interrupt flag.
///
/// # Panics
///
/// Panics where waiting is not allowed: outside of fibers, in interrupt handlers, with interrupts
/// off, and in [`without_waiting`](crate::scheduler::without_waiting).
///
/// # Context
///
/// Callable from: fiber. Blocks: nothing.
#[inline(always)]
#[track_caller]
pub fn yield_now() {
    RunLoop::yield_now();
}

/// Waits until the running fiber's [`Unparker`] is used. Returns at once if it was used since the
/// last call.
///
/// # Errors
///
/// Returns [`WaitError::Cancelled`] if the fiber is cancelled.
///
/// # Panics
///
/// As [`yield_now`].
///
/// # Context
///
/// Callable from: fiber. Blocks: the fiber.
#[inline]
#[track_caller]
pub fn park() -> Result<(), WaitError> {
    park_until(NEVER)
}

/// Waits as [`park`] does, but no longer than `timeout`.
///
/// # Errors
///
/// Returns the errors of [`park`], and [`WaitError::TimedOut`] if the time has passed.
///
/// # Panics
///
/// As [`yield_now`].
///
/// # Context
///
/// Callable from: fiber. Blocks: the fiber.
#[track_caller]
pub fn park_timeout(timeout: Duration) -> Result<(), WaitError> {
    park_until(after(timeout))
}

/// Waits as [`park`] does, but no longer than until `deadline`.
///
/// # Errors
///
/// Returns the errors of [`park`], and [`WaitError::TimedOut`] if the deadline has passed.
///
/// # Panics
///
/// As [`yield_now`].
///
/// # Context
///
/// Callable from: fiber. Blocks: the fiber.
#[inline]
#[track_caller]
pub fn park_until(deadline: Nanoseconds) -> Result<(), WaitError> {
    let fiber = running::waiting_fiber();
    // SAFETY: it runs.
    let state = unsafe { &(*fiber).state };
    if state.take_token() {
        return Ok(());
    }
    // Whoever provides the token from now on also wakes the fiber.
    wait_to_be_told(fiber, &PARK, ptr::null(), deadline, || {
        state.take_token_when_woken()
    })
}

/// Waits for `duration`. If it is zero, the other ready fibers run once.
///
/// # Errors
///
/// Returns [`WaitError::Cancelled`] if the fiber is cancelled.
///
/// # Panics
///
/// As [`yield_now`].
///
/// # Context
///
/// Callable from: fiber. Blocks: the fiber.
#[track_caller]
pub fn sleep(duration: Duration) -> Result<(), WaitError> {
    sleep_until(after(duration))
}

/// Waits until `deadline`. If it has passed already, the other ready fibers run once. With
/// [`NEVER`] the fiber waits until it is cancelled.
///
/// # Errors
///
/// Returns [`WaitError::Cancelled`] if the fiber is cancelled.
///
/// # Panics
///
/// As [`yield_now`].
///
/// # Context
///
/// Callable from: fiber. Blocks: the fiber.
#[track_caller]
pub fn sleep_until(deadline: Nanoseconds) -> Result<(), WaitError> {
    if deadline <= now() {
        yield_now();
        return check_cancelled();
    }
    match wait_until(
        running::waiting_fiber(),
        &SLEEP,
        ptr::null(),
        deadline,
        || false,
    ) {
        Err(WaitError::TimedOut) => Ok(()),
        other => other,
    }
}

/// Returns the time, by the clock of the running fiber's scheduler.
///
/// # Panics
///
/// Panics outside of fibers.
///
/// # Context
///
/// Callable from: fiber. Blocks: nothing.
#[must_use]
#[track_caller]
pub fn now() -> Nanoseconds {
    let fiber = running::get();
    assert!(
        !fiber.is_null(),
        "`now` was called outside of a fiber: call the `now` of the platform instead"
    );
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(fiber) };
    let now = run_loop.look_at_clock();
    run_loop.check_timer(now);
    now
}

/// Returns the deadline that is `duration` from now, by the clock of the running fiber's scheduler.
///
/// # Panics
///
/// Panics outside of fibers.
///
/// # Context
///
/// Callable from: fiber. Blocks: nothing.
#[must_use]
#[track_caller]
pub fn after(duration: Duration) -> Nanoseconds {
    let fiber = running::get();
    assert!(
        !fiber.is_null(),
        "`sleep`, `after` or a timeout was used outside of a fiber: only fibers can wait"
    );
    // SAFETY: it runs.
    deadline_after(unsafe { RunLoop::of(fiber) }, duration)
}

/// Returns the id of the running fiber, or `None` outside of fibers. In an interrupt handler this
/// is the fiber that was interrupted.
///
/// # Context
///
/// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
#[must_use]
pub fn current() -> Option<FiberId> {
    let fiber = running::get();
    // SAFETY: it runs.
    (!fiber.is_null()).then(|| unsafe { FiberId::of(fiber) })
}

/// Returns the [`Unparker`] of the running fiber, which wakes it when it parks, or `None` outside
/// of fibers.
///
/// # Context
///
/// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
#[must_use]
pub fn unparker() -> Option<Unparker> {
    current().map(Unparker)
}

/// Returns the name of the running fiber. It is empty outside of fibers, and if the fiber has no
/// name.
///
/// # Context
///
/// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
#[must_use]
pub fn current_name() -> &'static str {
    let fiber = running::get();
    // SAFETY: it runs.
    unsafe { fiber.as_ref() }.map_or("", |fiber| fiber.name())
}

/// Returns whether the running fiber is cancelled and not [shielded](shield). Returns `false`
/// outside of fibers.
///
/// # Context
///
/// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
#[must_use]
pub fn is_cancelled() -> bool {
    let fiber = running::get();
    !fiber.is_null() && header::is_cancelled(fiber)
}

/// Does the same as [`is_cancelled`], but returns an error that `?` passes on.
///
/// # Errors
///
/// Returns [`WaitError::Cancelled`] if the fiber is cancelled.
///
/// # Context
///
/// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
pub fn check_cancelled() -> Result<(), WaitError> {
    if is_cancelled() {
        Err(WaitError::Cancelled)
    } else {
        Ok(())
    }
}

/// Runs `f` as if nobody had cancelled the fiber. This is for work that must not stop half-way.
/// Shields can be nested.
///
/// # Panics
///
/// Panics outside of fibers, and if more than 255 shields are nested.
///
/// # Context
///
/// Callable from: fiber. Blocks: nothing.
#[track_caller]
pub fn shield<R>(f: impl FnOnce() -> R) -> R {
    /// Ends the shield, also when `f` unwinds.
    struct Lower<'a>(&'a core::cell::Cell<u8>);
    impl Drop for Lower<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }

    let fiber = running::get();
    assert!(
        !fiber.is_null(),
        "`shield` was called outside of a fiber: only fibers can be cancelled"
    );
    // SAFETY: it runs.
    let shields = unsafe { &(*fiber).shields };
    shields.set(
        shields
            .get()
            .checked_add(1)
            .expect("more than 255 calls of `shield` are nested: nest fewer of them"),
    );
    let _lower = Lower(shields);
    f()
}
