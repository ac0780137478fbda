//! The loop itself: it reads the inbox and the clock, switches to fibers, and rests.

use super::RunLoop;
#[cfg(not(feature = "smp"))]
use crate::platform::NEVER;
use crate::platform::{SwitchHook, interrupts};
use crate::scheduler::cpu::current;
use core::ptr;
use core::sync::atomic::Ordering;

impl RunLoop {
    /// Returns the address by which the loop's own context is known.
    #[cfg(feature = "trace")]
    pub(crate) fn root_address(&self) -> usize {
        (&raw const self.root).addr()
    }

    /// Runs the loop as [`run`](Self::run) does, but only where its fibers began to run, or
    /// anywhere if none has.
    ///
    /// # Panics
    ///
    /// Panics in any other place.
    ///
    /// # Safety
    ///
    /// The requirements of [`run`](Self::run) apply.
    #[track_caller]
    pub(crate) unsafe fn run_in_place(&self, until_idle: bool, hook: Option<SwitchHook>) {
        let here = current::place();
        assert!(
            self.place.get().is_none_or(|place| place == here),
            "the scheduler ran on another thread before, and its fibers may hold what must not change threads"
        );
        self.place.set(Some(here));
        // SAFETY: the caller's promise.
        unsafe { self.run(until_idle, hook) };
        if self.team().live.load(Ordering::Relaxed) == 0 {
            self.place.set(None);
        }
    }

    /// Runs fibers until none is left or, if `until_idle`, until none is ready and no deadline has
    /// passed.
    ///
    /// # Safety
    ///
    /// The caller must not be in a fiber. It becomes the owner.
    unsafe fn run(&self, until_idle: bool, hook: Option<SwitchHook>) {
        self.hook.set(hook);
        self.fast.leave_ring();
        #[cfg(not(feature = "smp"))]
        self.last_stall.set(0);
        #[cfg(feature = "smp")]
        let turn = self.begin_turn(until_idle);
        interrupts::enable();
        loop {
            // SAFETY: the caller is the owner.
            unsafe { self.drain_aside() };
            #[cfg(feature = "smp")]
            // SAFETY: we are root, and the owner.
            unsafe {
                self.send_emigrant();
            }
            let deadline = self.sleepers.next_deadline();
            if deadline <= self.look_at_clock() {
                self.note_deadline_without_interrupt(deadline);
                self.may_be_due();
            }
            #[cfg(feature = "smp")]
            // SAFETY: the caller is the owner, and no fiber runs.
            unsafe {
                self.share(&raw const self.root, false);
            }
            if !self.ready.is_empty() {
                let root = &raw const self.root;
                // SAFETY: one is ready.
                let next = unsafe { self.announce_first(root, ptr::null()) };
                // SAFETY: R2.
                unsafe { current::set_first(next) };
                // SAFETY: root runs, the next does not.
                unsafe { Self::switch(root, next) };
                continue;
            }
            #[cfg(feature = "smp")]
            if self.rest(until_idle, &turn) {
                return;
            }
            #[cfg(not(feature = "smp"))]
            if self.rest(until_idle) {
                return;
            }
        }
    }

    /// Lets the processor sleep, since no fiber is ready. Returns whether the loop returns instead.
    #[cfg(not(feature = "smp"))]
    #[inline(always)]
    fn rest(&self, until_idle: bool) -> bool {
        if until_idle || self.team.live.load(Ordering::Relaxed) == 0 {
            return true;
        }
        let next = self.sleepers.next_deadline();
        if next == NEVER && self.all_wait() {
            return true;
        }
        if next != self.timer.load(Ordering::Relaxed) {
            // The timer was set for a sleeper that was woken before its deadline, which must
            // not wake the processor any more.
            self.set_timer(next);
        }
        interrupts::disable();
        if self.inbox.is_empty() {
            self.idle();
        } else {
            interrupts::enable();
        }
        false
    }
}
