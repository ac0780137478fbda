//! A fiber that moves to another core of its own will.
//!
//! It waits, and the loop's own context sends it on: by then it has left its stack.

use super::RunLoop;
use super::share::STARTED_FIBERS_MOVE;
use super::stack_check::before_leaving;
use crate::platform::Core;
use crate::scheduler::cpu::current;
use crate::scheduler::lock_free::state::Woken;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::wait::{Giver, Kind, Wait, WaitReason};
use crate::trace::points;
use core::fmt;
use core::panic::Location;
use core::ptr;

static KIND: Kind = Kind::new(WaitReason::Move, Giver::Anybody);

/// The reason why a fiber did not move.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MoveError {
    /// The scheduler has no such core.
    NoSuchCore,
    /// On a host a fiber stays on the thread on which it began.
    NotOnHost,
}

debug_is_display!(MoveError);

impl fmt::Display for MoveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchCore => "the scheduler has no such core: its cores are counted from 0",
            Self::NotOnHost => {
                "on a host a fiber that has begun stays on its thread: spawn it there, with `on`"
            }
        })
    }
}

impl core::error::Error for MoveError {}

/// Moves the running fiber to a core, where it goes on. If it is pinned, it is pinned to that core
/// afterwards; otherwise it may be moved again at any time.
///
/// # Errors
///
/// Returns [`MoveError`] if the fiber cannot move there. It is then where it was.
///
/// # Panics
///
/// As [`yield_now`](crate::scheduler::yield_now).
///
/// # Context
///
/// Callable from: fiber. Blocks: the fiber, until the core comes to its next scheduling point.
#[track_caller]
pub fn move_to(core: Core) -> Result<(), MoveError> {
    let fiber = current::waiting_fiber();
    loop {
        // SAFETY: it runs.
        let run_loop = unsafe { RunLoop::of(fiber) };
        let Core(index) = core;
        if index == run_loop.index {
            return Ok(());
        }
        if index >= run_loop.team().loops().len() {
            return Err(MoveError::NoSuchCore);
        }
        if !STARTED_FIBERS_MOVE {
            return Err(MoveError::NotOnHost);
        }
        let wait = Wait::new(&KIND, ptr::null(), Location::caller(), run_loop.last_look());
        // SAFETY: it runs.
        let header = unsafe { &*fiber };
        header.wait.set(&raw const wait);
        points::wait(WaitReason::Move as u8, ptr::null(), wait.location);
        run_loop.emigrant.set((fiber, index));
        // SAFETY: `waiting_fiber` says that it runs, and that we are the owner.
        unsafe { run_loop.block_for_root(fiber) };
        header.wait.set(ptr::null());
    }
}

impl RunLoop {
    /// Makes the running fiber wait like [`block`](Self::block), and goes on with root.
    ///
    /// # Safety
    ///
    /// The requirements of [`block`](Self::block) apply.
    unsafe fn block_for_root(&self, prev: *const Header) {
        // SAFETY: it runs, and does not wait yet.
        unsafe { before_leaving(prev) };
        self.fast.leave_ring(); // R4: the ring may become empty.
        // SAFETY: R3.
        unsafe { self.ready.remove_first(prev) };
        // SAFETY: it runs.
        if unsafe { !(*prev).state.park() } {
            self.emigrant.set((ptr::null(), 0));
            // SAFETY: it is in no ring any more.
            return unsafe { self.stay(prev) };
        }
        self.announce_root(prev);
        // SAFETY: root is left while fibers run, and goes on here.
        unsafe { Self::switch(prev, &raw const self.root) };
    }

    /// Sends the fiber on that wants to move, if there is one. If somebody else has woken it
    /// meanwhile, it is in the inbox, and tries again.
    ///
    /// # Safety
    ///
    /// The caller must be root, which is the owner.
    #[inline(always)]
    pub(super) unsafe fn send_emigrant(&self) {
        let (fiber, index) = self.emigrant.get();
        if fiber.is_null() {
            return;
        }
        self.emigrant.set((ptr::null(), 0));
        // SAFETY: it waits, and nobody but us lets it run, so it is alive.
        let header = unsafe { &*fiber };
        if header.state.wake() == Woken::Enqueue {
            let to = &self.team().loops()[index];
            header.change_run_loop(to.address());
            points::moves(fiber, index);
            // SAFETY: it waited, nobody woke it before, and it has left its stack.
            unsafe { to.post(fiber) };
        }
    }
}
