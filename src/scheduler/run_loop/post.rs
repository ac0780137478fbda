//! The inbox of a loop: how fibers get in, and how they get out.

use super::RunLoop;
#[cfg(feature = "smp")]
use crate::atomic::{Mistake, is_planted};
use crate::scheduler::cpu::current;
use crate::scheduler::task::header::Header;
use crate::trace::points;
use core::ptr;

impl RunLoop {
    /// Puts a fiber into the inbox and makes sure that the owner checks the inbox.
    ///
    /// # Safety
    ///
    /// The fiber is alive and in no ring and no inbox, and its state says that it waits and was
    /// woken.
    pub(crate) unsafe fn post(&self, fiber: *const Header) {
        points::posted(fiber);
        // SAFETY: the caller's promise.
        unsafe { self.inbox.push(fiber) };
        self.fast.forbid();
        self.rouse();
    }

    /// Ends the sleep of this loop, in whose inbox there is something.
    #[inline(always)]
    pub(crate) fn rouse(&self) {
        // A loop whose fiber is interrupted does not sleep.
        #[cfg(not(feature = "smp"))]
        if !current::is_in(self.address()) {
            self.kick();
        }
        // Nobody is kicked who is awake, and an interrupt that we are in ends the sleep anyway.
        #[cfg(feature = "smp")]
        if self.team().roster.wake(self.index)
            && !self.is_idle_here()
            && !is_planted(Mistake::NoKick)
        {
            self.kick();
        }
    }

    /// Ends the platform's `idle`, if there is a platform.
    #[cold]
    #[inline(never)]
    pub(super) fn kick(&self) {
        let Some(platform) = self.team().platform.get() else {
            return;
        };
        current::call_kick(|| {
            #[cfg(feature = "smp")]
            platform.kick(self.core());
            #[cfg(not(feature = "smp"))]
            platform.kick_only_core();
        });
    }

    /// Enqueues a fiber that waited, and that the caller has woken.
    ///
    /// Only now it is asked which loop the fiber belongs to. Before the bit was set, another could
    /// have woken it, and it could have moved and waited again in another loop. From then on it is
    /// in no ring, so nobody moves it.
    ///
    /// # Safety
    ///
    /// The change of the state returned [`Woken::Enqueue`](crate::scheduler::lock_free::state::Woken),
    /// and this is called once for it.
    #[cfg(feature = "smp")]
    pub(super) unsafe fn take_or_post(fiber: *const Header) {
        #[cfg(debug_assertions)]
        current::check_words();
        // SAFETY: it waits, so it is alive.
        let run_loop = unsafe { Self::of(fiber) };
        // SAFETY: as above.
        let is_held = unsafe { (*fiber).state.is_held() };
        // One that another core looks at waits in the inbox for the next scheduling point: here the
        // caller may have what the other core needs in order to finish.
        if run_loop.is_owner() && !is_held {
            points::ready(fiber);
            run_loop.take_posted(fiber);
        } else {
            // SAFETY: the caller's promise.
            unsafe { run_loop.post(fiber) };
        }
    }

    /// Empties the inbox, into which interrupt handlers and other cores put fibers.
    ///
    /// # Safety
    ///
    /// The caller must be the owner.
    #[inline(always)]
    pub(super) unsafe fn drain(&self) {
        // SAFETY: the caller is the owner.
        unsafe {
            self.inbox.drain(|fiber| {
                if ptr::eq(fiber, &raw const self.root) {
                    self.do_requests();
                } else {
                    self.take_posted(fiber);
                }
            });
        }
    }

    /// Does what root was asked for.
    #[cfg(not(feature = "smp"))]
    #[inline(always)]
    fn do_requests(&self) {
        if self.root.state.take_requests() {
            self.may_be_due();
        }
    }

    /// Does what root was asked for.
    #[cfg(feature = "smp")]
    #[inline(always)]
    fn do_requests(&self) {
        let requests = self.root.state.take_requests();
        if requests.timer {
            self.may_be_due();
        }
        if requests.levels {
            // SAFETY: only the owner drains.
            unsafe { self.take_changed() };
        }
    }

    #[inline(always)]
    fn take_posted(&self, fiber: *const Header) {
        // SAFETY: R2.
        unsafe { (*fiber).state.unpark_from_inbox() };
        // SAFETY: it waited and is out of the inbox; only the owner drains.
        unsafe { self.enqueue_at_any_level(fiber) };
    }
}
