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
//! - **M1**: a fiber is given away only by the owner of its loop, out of a ring, and not while it
//!   runs. Its registers are therefore stored, and it is not in the sleep queue. While it is on its
//!   way, its state says that it waits and was woken, so nobody else enqueues it. A change of its
//!   level follows it: see [`lending`](super::lending).

use super::RunLoop;
use super::team::Team;
use crate::scheduler::task::header::Header;
use crate::trace::points;
use core::ptr;
use core::sync::atomic::Ordering;

/// Whether a fiber can move that has begun to run. On a host it cannot: the compiler keeps addresses
/// of thread locals across calls. (Where each fiber has a thread of its own, its thread locals move
/// with it.)
pub(super) const STARTED_FIBERS_MOVE: bool =
    cfg!(any(not(target_os = "linux"), miri, kfiber_threads));

/// The number of ready fibers that are examined at one scheduling point.
const MOST_LOOKS: usize = 128;

impl RunLoop {
    /// Tells the loops that are awake that this one has nothing to do.
    pub(super) fn ask_for_work(&self, team: &Team) {
        let awake_ones = team.roster.awake_ones();
        for run_loop in team.loops() {
            if awake_ones & 1 << run_loop.index != 0 {
                run_loop.is_asked.store(true, Ordering::SeqCst);
                run_loop.forbid_fast_yields();
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
        if self.team().roster.sleepers() != 0 {
            self.is_asked.store(true, Ordering::Relaxed);
            self.forbid_fast_yields();
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
        let sleepers = self.team().roster.sleepers() & !(1 << self.index);
        if sleepers == 0 {
            return;
        }
        let others = self.ready.count_others(prev, MOST_LOOKS);
        let most = (others + usize::from(stays)) / 2;
        let mut receiver = self;
        let is_movable = |fiber| !ptr::eq(fiber, prev) && can_move(fiber);
        let give = |fiber: *const Header| {
            if let Some(next) = receiver.next_in(sleepers) {
                receiver = next;
                // SAFETY: it was taken out of its ring, and may move.
                unsafe { self.give(fiber, next) };
            }
        };
        // SAFETY: the running fiber is `prev`, if there is one; giving changes nothing in the rings.
        unsafe { self.ready.take_some(most, MOST_LOOKS, is_movable, give) };
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
    !header.state.is_pinned()
        && !header.state.is_failed()
        && (STARTED_FIBERS_MOVE || header.dispatches().get() == 0)
}
