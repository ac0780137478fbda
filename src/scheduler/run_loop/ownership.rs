//! The ownership of a loop, and how code becomes the owner of a loop that nobody runs.

use super::RunLoop;
use crate::atomic::AtomicBool;
use crate::platform::interrupts;
use crate::scheduler::cpu::current;
use core::sync::atomic::Ordering;

impl RunLoop {
    /// Returns whether the running fiber belongs to this loop. In an interrupt handler, this
    /// applies to the fiber that was interrupted.
    #[inline(always)]
    pub(crate) fn is_entered(&self) -> bool {
        current::is_in(self.address())
    }

    /// Returns whether the caller is a fiber of this loop, with interrupts on. It is then the owner
    /// of the loop.
    #[inline(always)]
    pub(crate) fn is_owner(&self) -> bool {
        self.is_entered() && interrupts::are_enabled()
    }

    /// Runs `f` as the owner. Returns `None` without running `f` if somebody else is the owner.
    pub(crate) fn while_owned<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        let _disown = self.own()?;
        Some(f())
    }

    /// Makes the caller the owner, if it is not the owner already, until the result is dropped.
    /// Returns `None` if somebody else is the owner.
    pub(super) fn own(&self) -> Option<Option<Disown<'_>>> {
        if self.is_owner() {
            return Some(None);
        }
        self.own_anew().map(Some)
    }

    /// Makes the caller, which is in no fiber of this loop, the owner until the result is dropped.
    /// Returns `None` if somebody is the owner.
    pub(crate) fn own_anew(&self) -> Option<Disown<'_>> {
        let is_ours = !self.is_running.swap(true, Self::OWN_ORDER);
        #[cfg(feature = "smp")]
        if is_ours {
            self.await_visitor();
        }
        is_ours.then(|| Disown(&self.is_running))
    }

    const OWN_ORDER: Ordering = if cfg!(feature = "smp") {
        Ordering::SeqCst
    } else {
        Ordering::Acquire
    };

    /// Runs `f` as the owner of a loop that nobody owns. Whoever wants to run the loop meanwhile waits
    /// until `f`, which must be short, has returned. Returns `None` without running `f` if the loop
    /// has an owner or a visitor.
    #[cfg(feature = "smp")]
    pub(crate) fn visit<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        if self.is_visited.swap(true, Ordering::SeqCst) {
            return None;
        }
        let _leave = Disown(&self.is_visited);
        // Each side writes its flag and reads the other's, so at least one sees the other.
        (!self.is_running.load(Ordering::SeqCst)).then(f)
    }

    #[cfg(feature = "smp")]
    fn await_visitor(&self) {
        while self.is_visited.load(Ordering::SeqCst) {
            crate::atomic::spin_loop();
        }
    }
}

/// Gives up the ownership of the loop when it is dropped, also by unwinding.
#[derive(Debug)]
pub(crate) struct Disown<'a>(&'a AtomicBool);

impl Drop for Disown<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
