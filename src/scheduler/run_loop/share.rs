//! How ready fibers get to cores that sleep: a loop gives some of its own away.
//!
//! ```text
//!   core 1 finds nothing               core 0 has several ready
//!   1. it sleeps: see `roster`
//!   2. asks every loop that is awake ──► asked; its next yield is not a fast one
//!                                      3. at its next scheduling point: unlinks some, and posts
//!   4. is woken by the post  ◄────────    each to a loop that sleeps
//! ```
//!
//! A question is one flag, and says only that somebody sleeps. Who does, the roster says when the
//! question is answered. So there is nothing to withdraw: a loop that was woken meanwhile does not
//! sleep any more, and a loop does not leave `run` while another one has a fiber to give. A loop that
//! makes a fiber ready while another one sleeps asks itself.
//!
//! Each loop that sleeps is to get as many fibers as stay. A scheduling point looks at a bounded
//! number of fibers, so it may take several of them until all are given. A fiber that ends gives
//! none away, since it is on its stack still, and the fiber that joins it must not run elsewhere
//! before it has left. It goes on with root instead, which does.
//!
//! - **M1**: a fiber is given away only by the owner of its loop, out of a ring, and not while it
//!   runs. Its registers are therefore stored, and it is not in the sleep queue. While it is on its
//!   way, its state says that it waits and was woken, so nobody else enqueues it. A change of its
//!   level follows it: see [`lending`](super::lending).

use super::RunLoop;
use super::debt::Debt;
use super::team::Team;
use crate::atomic::{Mistake, is_planted};
use crate::scheduler::task::header::Header;
use crate::trace::points;
use core::ptr;
use core::sync::atomic::Ordering;

/// Whether a fiber can move that has begun to run. On a host it cannot: the compiler keeps addresses
/// of thread locals across calls. (Where each fiber has a thread of its own, its thread locals move
/// with it.)
pub(super) const STARTED_FIBERS_MOVE: bool =
    cfg!(any(not(target_os = "linux"), miri, kfiber_threads));

/// The number of ready fibers that are examined at one scheduling point, and of those that are given
/// away.
const MOST_LOOKS: usize = 128;
const MOST_GIFTS: usize = 64;

impl RunLoop {
    /// Tells the loops that are awake that this one has nothing to do.
    pub(super) fn ask_for_work(&self, team: &Team) {
        let awake_ones = team.roster.awake_ones();
        for run_loop in team.loops() {
            if awake_ones & 1 << run_loop.index != 0 {
                run_loop.is_asked.store(true, Ordering::SeqCst);
                run_loop.fast.forbid();
            }
        }
    }

    /// Returns whether a loop has asked.
    #[inline(always)]
    pub(super) fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::SeqCst)
    }

    /// Makes the next scheduling point give fibers away, if anybody sleeps. A fiber was made ready.
    #[inline(always)]
    pub(super) fn offer(&self) {
        if self.team().hungry_ones() != 0 {
            self.is_asked.store(true, Ordering::Relaxed);
            self.fast.forbid();
        }
    }

    /// Gives ready fibers to loops that sleep, if one has asked. `prev` is still on its stack, or is
    /// root. `stays` says whether it is ready.
    ///
    /// # Safety
    ///
    /// The caller must be the owner, and `prev` what runs.
    #[inline(always)]
    pub(super) unsafe fn share(&self, prev: *const Header, stays: bool) {
        if self.is_asked.load(Ordering::Relaxed) {
            // SAFETY: the caller's promise.
            unsafe { self.answer(prev, stays) };
        }
    }

    #[cold]
    #[inline(never)]
    unsafe fn answer(&self, prev: *const Header, stays: bool) {
        self.is_asked.swap(false, Ordering::AcqRel);
        let roster = &self.team().roster;
        let mut debt = self.debt.get();
        let hungry_ones = self.team().hungry_ones() & !(1 << self.index);
        if hungry_ones != 0 {
            debt = Debt {
                count: self.fair_share(prev, stays, hungry_ones),
                receivers: hungry_ones,
            };
        }
        let receivers = debt.receivers & roster.runners();
        let most = debt.count.min(MOST_GIFTS);
        let (mut given, mut receiver) = (0, self);
        let runs = |fiber| ptr::eq(fiber, prev) && !is_planted(Mistake::RunningGivenAway);
        let is_movable = |fiber| !runs(fiber) && can_move(fiber);
        let give = |fiber: *const Header| {
            given += 1;
            receiver = receiver.next_in(receivers).unwrap_or(self);
            // SAFETY: it was taken out of its ring, and may move.
            unsafe { self.give(fiber, receiver) };
        };
        if receivers != 0 {
            // SAFETY: the running fiber is `prev`, if there is one; giving changes nothing in the rings.
            unsafe { self.ready.take_some(most, MOST_LOOKS, is_movable, give) };
        }
        // Where so many cannot move, the others hardly can.
        debt.count = if given == 0 { 0 } else { debt.count - given };
        self.debt.set(debt);
        if debt.count > 0 {
            self.is_asked.store(true, Ordering::Relaxed);
            self.fast.forbid();
        }
    }

    /// Returns how many of the ready fibers others are to get, so that each has as many as this loop.
    fn fair_share(&self, prev: *const Header, stays: bool, receivers: u64) -> usize {
        // A fiber that goes on being ready is still in its ring, and one that waits is not.
        let others = self.ready.fibers() - usize::from(stays);
        let receivers = receivers.count_ones() as usize;
        debug_assert!(
            !ptr::eq(prev, &raw const self.root) || !stays,
            "root is in no ring"
        );
        ((others + usize::from(stays)) * receivers / (receivers + 1)).min(others)
    }

    /// Gives a fiber to another loop.
    ///
    /// # Safety
    ///
    /// **M1**: the fiber is ready, in no ring any more, and may move. The caller must be the owner.
    unsafe fn give(&self, fiber: *const Header, to: &RunLoop) {
        // SAFETY: R2.
        let header = unsafe { &*fiber };
        header.state.begin_move();
        // It was woken before its deadline, and would take itself out of the sleep queue of another
        // loop.
        // SAFETY: we are the owner still.
        if let Some(wait) = unsafe { header.waits_for() }
            && wait.is_sleeping()
        {
            // SAFETY: it is in there.
            unsafe { self.sleepers.remove(wait) };
        }
        header.change_run_loop(to.address());
        points::moves(fiber, to.index);
        // SAFETY: it is in no ring, and its state says that it waits and was woken.
        unsafe { to.post(fiber) };
    }
}

/// Returns whether a ready fiber that does not run may move to another core.
fn can_move(fiber: *const Header) -> bool {
    // SAFETY: R2.
    let header = unsafe { &*fiber };
    let is_pinned = header.state.is_pinned() && !is_planted(Mistake::PinnedMoved);
    !is_pinned
        && !header.state.is_failed()
        && (STARTED_FIBERS_MOVE || header.dispatches().get() == 0)
}
