//! What a fiber that waits needs to go on, and which fibers can never go on.
//!
//! Each fiber waits for one thing. If only a certain fiber can give it, that is an edge of the graph of waits; a scope needs
//! all of its fibers, so it has several. A fiber is *stuck* if its edge leads to one that is stuck, or that has ended: the
//! largest set of fibers for which that is so. Nothing that happens can then help it, but a cancellation of one in the set.
//!
//! The wait of a fiber of another loop is not ours to look at, so what only it can give is taken to come.

use super::header::Header;
use super::owner::{self, HeldBy};
use super::run_loop::RunLoop;
use super::scope::ScopeCount;
use super::spawn::Extra;
use super::wait::{Wait, WaitReason};
use super::waiting;
use core::ptr;

/// See the [module](self).
#[derive(Clone, Copy)]
pub(super) enum Need {
    /// Only this fiber, of the same loop, can end the wait.
    Fiber(*const Header),
    /// The fiber that could end it has ended.
    Ended(*const Header),
    /// All fibers of a scope must end.
    Scope(*const ScopeCount),
    /// Only fibers can end it, but which ones nobody knows, or they are of another loop.
    Fibers,
    /// A deadline ends it.
    Clock,
    /// Interrupt handlers, or anybody else.
    Anybody,
}

/// The waits of a loop's fibers. Only the loop's owner makes one.
///
/// - **G1**: all fibers in it, as `*const Header`, are in cells of this loop: readable for good, as pointers to all of their
///   control block.
#[derive(Clone, Copy)]
pub(super) struct Waits<'a> {
    pub(super) run_loop: &'a RunLoop,
    /// A fiber that still runs and is about to wait, if there is one: its record counts already.
    pub(super) about_to_wait: *const Header,
}

/// Not marked.
const FREE: u16 = 0;
/// Marked as stuck. Distances in [`Waits::mark_ways_to`] begin here too.
const STUCK: u16 = 1;

impl<'a> Waits<'a> {
    /// The fibers of the loop that have not ended.
    pub(super) fn fibers(self) -> impl Iterator<Item = *const Header> {
        // SAFETY: G1.
        let is_alive = |fiber: &*const Header| unsafe { !(**fiber).state.is_finished() };
        self.run_loop.all.iter().filter(is_alive)
    }

    /// What a fiber of the loop waits for; nothing if it can run.
    ///
    /// One that was woken for nothing, and only has to find out that it must wait on, still waits.
    pub(super) fn wait_of(self, fiber: *const Header) -> Option<&'a Wait> {
        // SAFETY: G1.
        let header = unsafe { &*fiber };
        // SAFETY: the record is on the fiber's stack until it runs again, and the owner of the loop looks, so it stays there.
        let wait = unsafe { header.waits_for() }?;
        let waits = ptr::eq(fiber, self.about_to_wait)
            || header.state.is_parked()
            || self.waits_on(fiber, wait);
        waits.then_some(wait)
    }

    /// Whether a fiber that was woken will find that what it needs of another fiber is still not there.
    fn waits_on(self, fiber: *const Header, wait: &Wait) -> bool {
        // The other waits for a certain fiber are not disturbed by a cancellation.
        let is_to_end = wait.kind.reason == WaitReason::Join && waiting::is_cancelled(fiber);
        let needs_a_fiber = match self.need_of(fiber, wait) {
            Need::Fiber(_) | Need::Ended(_) => true,
            Need::Scope(scope) => self.in_scope(scope).next().is_some(),
            Need::Fibers | Need::Clock | Need::Anybody => false,
        };
        needs_a_fiber && !is_to_end
    }

    /// Who can end this fiber's wait.
    pub(super) fn need_of(self, fiber: *const Header, wait: &Wait) -> Need {
        if wait.has_deadline() {
            return Need::Clock;
        }
        match wait.kind.reason {
            WaitReason::Join => self.need_of_fiber(wait.object.cast(), Need::Anybody),
            WaitReason::Scope => Need::Scope(wait.object.cast()),
            WaitReason::Mutex | WaitReason::Read | WaitReason::Write | WaitReason::Once => {
                // SAFETY: its fiber waits.
                match unsafe { owner::of(wait, fiber) } {
                    HeldBy::Nobody => Need::Anybody, // it is about to be served
                    HeldBy::Fibers => Need::Fibers,
                    HeldBy::Fiber(owner) => self.need_of_fiber(owner, Need::Ended(owner)),
                }
            }
            WaitReason::Barrier => Need::Fibers,
            WaitReason::Park
            | WaitReason::Sleep
            | WaitReason::Future
            | WaitReason::WaitQueue
            | WaitReason::Semaphore
            | WaitReason::Condvar
            | WaitReason::Event
            | WaitReason::Receive
            | WaitReason::Send => Need::Anybody,
        }
    }

    fn need_of_fiber(self, fiber: *const Header, if_ended: Need) -> Need {
        // SAFETY: it was alive when the wait began, so it is in a cell, which stays readable for good.
        if !ptr::eq(unsafe { Header::run_loop(fiber) }, self.run_loop) {
            return Need::Fibers;
        }
        // SAFETY: as above.
        if unsafe { (*fiber).state.is_finished() } {
            return if_ended;
        }
        Need::Fiber(fiber)
    }

    /// The fibers of a scope that have not ended.
    pub(super) fn in_scope(self, scope: *const ScopeCount) -> impl Iterator<Item = *const Header> {
        self.fibers()
            .filter(move |fiber| ptr::eq(extra(*fiber).scope.get(), scope))
    }

    /// Marks the fibers that are stuck.
    pub(super) fn mark_stuck(self) {
        for fiber in self.fibers() {
            let needs_a_fiber = self.wait_of(fiber).is_some_and(|wait| {
                matches!(
                    self.need_of(fiber, wait),
                    Need::Fiber(_) | Need::Ended(_) | Need::Scope(_)
                )
            });
            set_mark(fiber, if needs_a_fiber { STUCK } else { FREE });
        }
        // Who needs only those that are free is free too, until nothing changes any more.
        let mut has_changed = true;
        while has_changed {
            has_changed = false;
            for fiber in self.fibers().filter(|fiber| is_marked(*fiber)) {
                let is_stuck =
                    self.wait_of(fiber)
                        .is_some_and(|wait| match self.need_of(fiber, wait) {
                            Need::Fiber(next) => is_marked(next),
                            Need::Scope(scope) => self.in_scope(scope).any(is_marked),
                            _ => true,
                        });
                if !is_stuck {
                    set_mark(fiber, FREE);
                    has_changed = true;
                }
            }
        }
    }

    /// Marks each fiber from which the edges lead to `target` with the length of the way, `target` itself too if there is a
    /// way round.
    pub(super) fn mark_ways_to(self, target: *const Header) {
        for fiber in self.fibers() {
            set_mark(fiber, FREE);
        }
        for distance in STUCK..u16::MAX {
            let is_next = |next: *const Header| {
                if distance == STUCK {
                    ptr::eq(next, target)
                } else {
                    extra(next).mark.get() == distance - 1
                }
            };
            let mut has_changed = false;
            for fiber in self.fibers().filter(|fiber| !is_marked(*fiber)) {
                let leads_there =
                    self.wait_of(fiber)
                        .is_some_and(|wait| match self.need_of(fiber, wait) {
                            Need::Fiber(next) => is_next(next),
                            Need::Scope(scope) => self.in_scope(scope).any(is_next),
                            _ => false,
                        });
                if leads_there {
                    set_mark(fiber, distance);
                    has_changed = true;
                }
            }
            if !has_changed {
                return;
            }
        }
    }

    /// Where the edge of a fiber leads: in a scope, to `target`, or to the marked one that is nearest to it.
    pub(super) fn next_towards(
        self,
        target: *const Header,
        fiber: *const Header,
    ) -> Option<*const Header> {
        let distance = |fiber: &*const Header| {
            if ptr::eq(*fiber, target) {
                0
            } else {
                extra(*fiber).mark.get()
            }
        };
        match self.need_of(fiber, self.wait_of(fiber)?) {
            Need::Fiber(next) => Some(next),
            Need::Scope(scope) => self
                .in_scope(scope)
                .filter(|fiber| ptr::eq(*fiber, target) || is_marked(*fiber))
                .min_by_key(distance),
            _ => None,
        }
    }
}

/// Whether the last search marked a fiber.
pub(super) const fn is_marked(fiber: *const Header) -> bool {
    extra(fiber).mark.get() != FREE
}

fn set_mark(fiber: *const Header, mark: u16) {
    extra(fiber).mark.set(mark);
}

/// The other half of a fiber's control block.
const fn extra<'a>(fiber: *const Header) -> &'a Extra {
    // SAFETY: G1.
    unsafe { Extra::of(fiber) }
}
