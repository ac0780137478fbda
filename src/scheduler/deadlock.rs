//! A fiber is about to wait for what it will never get: found in the slow path of the wait that closes the circle.
//!
//! Looking costs in proportion to the length of the chain of waits that begins at the fiber, which is one link as a rule:
//! who has what it waits for runs, or is ready. Only when the chain leads back, or into a scope, all fibers are looked at.

use super::header::Header;
use super::needs::{Need, Waits};
use super::run_loop::RunLoop;
use super::wait::{Wait, WaitReason};
use super::wait_graph::{Circle, WaitingFiber};
use core::fmt;
use core::marker::PhantomData;
use core::panic::Location;
use core::ptr;
use core::sync::atomic::Ordering;

/// A fiber is about to wait without a deadline for what it will never get, unless a fiber of the circle is cancelled.
pub struct Deadlock<'a> {
    waits: Waits<'a>,
    fiber: *const Header,
    is_circle: bool,
    not_send: PhantomData<*mut ()>,
}

/// What the fiber does that would close a deadlock: the answer of [`Hooks::deadlocked`](super::Hooks::deadlocked).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterDeadlock {
    /// It panics where it wanted to wait, with the deadlock as the message. If that ends the fiber only, what it had locked
    /// is passed on.
    Panic,
    /// It waits. Somebody will cancel one of the fibers.
    Wait,
}

impl<'a> Deadlock<'a> {
    /// The deadlock of a fiber that is about to wait, by its record, if there is one.
    fn of(run_loop: &'a RunLoop, fiber: *const Header) -> Option<Self> {
        let waits = Waits {
            run_loop,
            about_to_wait: fiber,
        };
        let found = |is_circle| Self {
            waits,
            fiber,
            is_circle,
            not_send: PhantomData,
        };
        let mut at = fiber;
        for _ in 0..=waits.run_loop.live.load(Ordering::Relaxed) {
            match waits.need_of(at, waits.wait_of(at)?) {
                Need::Fiber(next) if !ptr::eq(next, fiber) => at = next,
                Need::Fiber(_) | Need::Scope(_) => {
                    waits.mark_ways_to(fiber);
                    return Circle::of(waits, fiber).closes().then(|| found(true));
                }
                Need::Ended(_) if ptr::eq(at, fiber) => {
                    waits.mark_stuck();
                    return Some(found(false));
                }
                Need::Ended(_) | Need::Fibers | Need::Clock | Need::Anybody => return None,
            }
        }
        None // it leads into a circle that was there before
    }

    fn report(&self) -> AfterDeadlock {
        self.waits.run_loop.ask_after(self)
    }

    /// The fibers of the circle, each before the one that it needs; the first is the one that closes it. If there is no
    /// circle, that one alone: it waits for what a fiber has that has ended.
    pub fn fibers(&self) -> impl Iterator<Item = WaitingFiber> + use<'a> {
        let circle = Circle::of(self.waits, self.fiber);
        let count = if self.is_circle { usize::MAX } else { 1 };
        circle.fibers().take(count)
    }

    /// The circle, if there is one.
    #[must_use]
    pub fn circle(&self) -> Option<Circle<'a>> {
        let circle = Circle::of(self.waits, self.fiber);
        self.is_circle.then_some(circle)
    }
}

/// Looks whether the running fiber, which is about to wait without a deadline, would wait for ever.
///
/// # Panics
///
/// Panics if so, and the hooks do not say otherwise.
#[cold]
#[inline(never)]
#[track_caller]
pub(crate) fn look(fiber: *const Header, reason: WaitReason, object: *const ()) {
    let place = Location::caller();
    // SAFETY: it runs.
    let run_loop = unsafe { Header::run_loop(fiber) };
    let wait = Wait::new(reason, object, place, run_loop.last_look());
    let _record = Record::new(fiber, &wait);
    if let Some(deadlock) = Deadlock::of(run_loop, fiber) {
        let after = deadlock.report();
        assert!(after == AfterDeadlock::Wait, "{deadlock}");
    }
}

/// As [`look`], for a wait that cannot fail: it is reported, and the answer is not heeded.
#[cold]
#[inline(never)]
pub(crate) fn look_and_wait(
    place: &'static Location<'static>,
    fiber: *const Header,
    reason: WaitReason,
    object: *const (),
) {
    // SAFETY: it runs.
    let run_loop = unsafe { Header::run_loop(fiber) };
    let wait = Wait::new(reason, object, place, run_loop.last_look());
    let _record = Record::new(fiber, &wait);
    if let Some(deadlock) = Deadlock::of(run_loop, fiber) {
        let _waits = deadlock.report();
    }
}

/// Says whether it is worth a look if the running fiber is about to wait for the end of another: not if that can run.
#[inline(always)]
pub(crate) fn can_be_closed(fiber: *const Header, other: *const Header) -> bool {
    // SAFETY: `fiber` runs, and `other` was alive when it was made.
    let [ours, its] = [fiber, other].map(|fiber| unsafe { Header::run_loop(fiber) });
    // SAFETY: headers stay readable for good.
    let other_header = unsafe { &*other };
    // SAFETY: asked only if it is of our loop, whose owner we are.
    let waits = || unsafe { other_header.waits_for() }.is_some();
    ptr::eq(ours, its) && (ptr::eq(fiber, other) || waits())
}

/// Says whether the running fiber would wait for ever.
#[cold]
#[inline(never)]
#[track_caller]
pub(crate) fn is_closed_by(fiber: *const Header, reason: WaitReason, object: *const ()) -> bool {
    let place = Location::caller();
    // SAFETY: it runs.
    let run_loop = unsafe { Header::run_loop(fiber) };
    let wait = Wait::new(reason, object, place, run_loop.last_look());
    let _record = Record::new(fiber, &wait);
    Deadlock::of(run_loop, fiber).is_some()
}

/// Puts the wait that is to come on the running fiber's record, as long as it lives.
struct Record<'a>(*const Header, PhantomData<&'a Wait>);

impl<'a> Record<'a> {
    fn new(fiber: *const Header, wait: &'a Wait) -> Self {
        // SAFETY: it runs.
        unsafe { (*fiber).wait.set(wait) };
        Self(fiber, PhantomData)
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        // SAFETY: it runs.
        unsafe { (*self.0).wait.set(ptr::null()) };
    }
}

impl fmt::Display for Deadlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fibers().count() {
            _ if !self.is_circle => {
                writeln!(f, "deadlock: a fiber waits for what one has that has ended")?;
            }
            1 => writeln!(f, "deadlock: a fiber waits for itself")?,
            count => writeln!(
                f,
                "deadlock: {count} fibers wait for each other, and none of them will ever go on"
            )?,
        }
        for fiber in self.fibers() {
            writeln!(f, "  {fiber}")?;
        }
        f.write_str(if self.is_circle {
            "  take locks in the same order everywhere, hold none while joining, or wait with a deadline"
        } else {
            "  drop guards before the fiber ends, and do not forget them"
        })
    }
}

impl fmt::Debug for Deadlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fibers()).finish()
    }
}
