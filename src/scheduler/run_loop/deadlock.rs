//! The check for a deadlock, which is made before a fiber waits.

#[cfg(feature = "smp")]
mod cores;

use super::RunLoop;
use crate::scheduler::graph::deadlock::AfterDeadlock;
#[cfg(not(feature = "smp"))]
use crate::scheduler::graph::deadlock::Deadlock;
#[cfg(not(feature = "smp"))]
use crate::scheduler::graph::needs::Waits;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::wait::Kind;
#[cfg(not(feature = "smp"))]
use crate::scheduler::task::wait::Wait;
use core::panic::Location;
use core::ptr;
#[cfg(feature = "smp")]
use cores::Planned;

/// Returns the wait that the running fiber is about to begin.
#[cfg(feature = "smp")]
fn planned(
    place: &'static Location<'static>,
    fiber: *const Header,
    kind: &'static Kind,
    object: *const (),
) -> Planned {
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(fiber) };
    Planned {
        run_loop,
        fiber,
        kind,
        object,
        place,
        since: run_loop.last_look(),
    }
}

/// Checks whether the running fiber, which is about to wait without a deadline, would wait forever.
///
/// # Panics
///
/// Panics if the fiber would wait forever, unless the hooks decide otherwise.
#[cold]
#[inline(never)]
#[track_caller]
pub(crate) fn look(fiber: *const Header, kind: &'static Kind, object: *const ()) {
    let place = Location::caller();
    #[cfg(feature = "smp")]
    {
        let planned = planned(place, fiber, kind, object);
        if planned.may_close_a_cycle() {
            assert!(planned.ask() == AfterDeadlock::Wait, "{planned}");
        }
    }
    #[cfg(not(feature = "smp"))]
    {
        // SAFETY: it runs.
        let run_loop = unsafe { RunLoop::of(fiber) };
        let wait = Wait::new(kind, object, place, run_loop.last_look());
        let waits = run_loop.waits(Some((fiber, &wait)));
        if Deadlock::is_possible(&waits, fiber) {
            heed(run_loop, waits, fiber);
        }
    }
}

/// Asks the hooks if there is a deadlock.
#[cfg(not(feature = "smp"))]
#[cold]
#[inline(never)]
#[track_caller]
fn heed(run_loop: &RunLoop, waits: Waits<'_>, fiber: *const Header) {
    if let Some(deadlock) = Deadlock::of(waits, fiber) {
        let after = run_loop.ask_after(&deadlock);
        assert!(after == AfterDeadlock::Wait, "{deadlock}");
    }
}

/// Behaves like [`look`], for a wait that cannot fail: the deadlock is reported, but the answer of
/// the hooks is ignored.
#[cold]
#[inline(never)]
pub(crate) fn look_and_wait(
    place: &'static Location<'static>,
    fiber: *const Header,
    kind: &'static Kind,
    object: *const (),
) {
    #[cfg(feature = "smp")]
    {
        let planned = planned(place, fiber, kind, object);
        if planned.may_close_a_cycle() {
            let _waits = planned.ask();
        }
    }
    #[cfg(not(feature = "smp"))]
    {
        // SAFETY: it runs.
        let run_loop = unsafe { RunLoop::of(fiber) };
        let wait = Wait::new(kind, object, place, run_loop.last_look());
        if let Some(deadlock) = Deadlock::of(run_loop.waits(Some((fiber, &wait))), fiber) {
            let _waits = run_loop.ask_after(&deadlock);
        }
    }
}

/// Returns whether a check is needed when the running fiber is about to wait for the end of
/// `other`. It is not needed if `other` can run.
#[inline(always)]
pub(crate) fn can_be_closed(fiber: *const Header, other: *const Header) -> bool {
    // One of this loop that was woken may find that it has to wait further. Nobody but the owner
    // gives it to another loop.
    #[cfg(feature = "smp")]
    // SAFETY: headers stay readable for good.
    if unsafe { &*other }.state.is_waiting() {
        return true;
    }
    // On one core of the bare machine no other owner runs meanwhile.
    if cfg!(any(target_os = "linux", feature = "smp")) && !are_of_one_loop(fiber, other) {
        return false;
    }
    // SAFETY: headers stay readable for good, and the owner of its loop is this core.
    let wait = unsafe { (*other).wait.get() };
    !wait.is_null() || ptr::eq(fiber, other)
}

/// Returns whether two fibers belong to one loop.
#[inline(always)]
fn are_of_one_loop(fiber: *const Header, other: *const Header) -> bool {
    // SAFETY: headers of fibers stay readable for good.
    let [ours, its] = [fiber, other].map(|fiber| unsafe { RunLoop::of(fiber) });
    ptr::eq(ours, its)
}

/// Returns whether the running fiber would wait forever for the end of `other`.
#[cold]
#[inline(never)]
#[track_caller]
pub(crate) fn is_closed_by(
    fiber: *const Header,
    kind: &'static Kind,
    other: *const Header,
) -> bool {
    let (place, object) = (Location::caller(), other.cast());
    #[cfg(feature = "smp")]
    {
        let planned = planned(place, fiber, kind, object);
        planned.may_close_a_cycle() && planned.with_deadlock(|_| ()).is_some()
    }
    #[cfg(not(feature = "smp"))]
    {
        // SAFETY: it runs.
        let run_loop = unsafe { RunLoop::of(fiber) };
        let wait = Wait::new(kind, object, place, run_loop.last_look());
        are_of_one_loop(fiber, other)
            && Deadlock::of(run_loop.waits(Some((fiber, &wait))), fiber).is_some()
    }
}
