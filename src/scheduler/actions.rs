//! What a fiber does with itself: lets others run, parks, sleeps, asks who it is and whether it is to end.

use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::cpu::current as running;
use crate::scheduler::run_loop::unparker::Unparker;
use crate::scheduler::run_loop::waiting::{WaitError, wait_until};
use crate::scheduler::run_loop::{RunLoop, deadline_after};
use crate::scheduler::task::header;
use crate::scheduler::task::id::FiberId;
use crate::scheduler::task::wait::{Giver, Kind, WaitReason};
use core::ptr;
use core::time::Duration;

static PARK: Kind = Kind::new(WaitReason::Park, Giver::Anybody);
static SLEEP: Kind = Kind::new(WaitReason::Sleep, Giver::Anybody);

/// Lets the other ready fibers of the same priority run, each once, or one of higher priority if there is one.
///
/// It takes no lock and leaves the interrupt flag alone.
///
/// # Panics
///
/// Panics where waiting is not allowed: outside of fibers, in interrupt handlers, with interrupts off, and in
/// [`without_waiting`](crate::scheduler::without_waiting).
///
/// # Context
///
/// Callable from: fiber. Blocks: nothing.
#[inline(always)]
#[track_caller]
pub fn yield_now() {
    let fiber = running::waiting_fiber();
    // From the line that the check of its stack needs next: among very many fibers it comes the sooner.
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(fiber) };
    // SAFETY: `waiting_fiber` says that it runs, and that we are the owner.
    unsafe { run_loop.yield_now(fiber) };
}

/// Waits until the running fiber's [`Unparker`] is used, or returns at once if it was since the last time.
///
/// # Errors
///
/// [`WaitError::Cancelled`] if the fiber is asked to end.
///
/// # Panics
///
/// As [`yield_now`].
///
/// # Context
///
/// Callable from: fiber. Blocks: the fiber.
#[track_caller]
pub fn park() -> Result<(), WaitError> {
    park_until(NEVER)
}

/// As [`park`], but no longer than `timeout`.
///
/// # Errors
///
/// As [`park`], and [`WaitError::TimedOut`].
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

/// As [`park`], but no longer than until `deadline`.
///
/// # Errors
///
/// As [`park`], and [`WaitError::TimedOut`].
///
/// # Panics
///
/// As [`yield_now`].
///
/// # Context
///
/// Callable from: fiber. Blocks: the fiber.
#[track_caller]
pub fn park_until(deadline: Nanoseconds) -> Result<(), WaitError> {
    let fiber = running::waiting_fiber();
    // SAFETY: it runs.
    let state = unsafe { &(*fiber).state };
    wait_until(fiber, &PARK, ptr::null(), deadline, || state.take_token())
}

/// Waits for `duration`. Zero lets the others run once.
///
/// # Errors
///
/// [`WaitError::Cancelled`] if the fiber is asked to end.
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

/// Waits until `deadline`. One that has passed lets the others run once; [`NEVER`] waits until the fiber is asked to end.
///
/// # Errors
///
/// [`WaitError::Cancelled`] if the fiber is asked to end.
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

/// The time, by the clock of the running fiber's scheduler.
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
        "`now` was called outside of a fiber: ask the platform"
    );
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(fiber) };
    let now = run_loop.look_at_clock();
    run_loop.check_timer(now);
    now
}

/// The deadline that is this long from now, by the clock of the running fiber's scheduler.
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

/// The running fiber, or nothing outside of fibers. In an interrupt handler it is the one that was interrupted.
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

/// What wakes the running fiber when it parks, or nothing outside of fibers.
///
/// # Context
///
/// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
#[must_use]
pub fn unparker() -> Option<Unparker> {
    current().map(Unparker)
}

/// The name of the running fiber; empty if it has none, and outside of fibers.
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

/// Says whether the running fiber is asked to end, and not [shielded](shield). Outside of fibers it is false.
///
/// # Context
///
/// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
#[must_use]
pub fn is_cancelled() -> bool {
    let fiber = running::get();
    !fiber.is_null() && header::is_cancelled(fiber)
}

/// As [`is_cancelled`], for use with `?`.
///
/// # Errors
///
/// [`WaitError::Cancelled`] if the fiber is asked to end.
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

/// Runs `f` as if nobody had asked the fiber to end: for work that must not stop half-way. May be nested.
///
/// # Panics
///
/// Panics outside of fibers, and when more than 255 are nested.
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
        "a shield outside of a fiber: there is nothing to shield"
    );
    // SAFETY: it runs.
    let shields = unsafe { &(*fiber).shields };
    shields.set(
        shields
            .get()
            .checked_add(1)
            .expect("more than 255 shields within each other"),
    );
    let _lower = Lower(shields);
    f()
}
