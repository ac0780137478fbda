//! Who owns a loop, and how one becomes the owner of one that nobody runs.

use super::RunLoop;
use crate::platform::interrupts;
use crate::scheduler::cpu::current;
use core::sync::atomic::{AtomicBool, Ordering};

impl RunLoop {
    /// Says whether the fiber that runs is one of this loop; in an interrupt handler, whether the one that was interrupted
    /// is.
    #[inline(always)]
    pub(crate) fn is_entered(&self) -> bool {
        current::is_in(self.address())
    }

    /// Says whether the caller is a fiber of this loop, with interrupts on: then it is the loop's owner.
    #[inline(always)]
    pub(crate) fn is_owner(&self) -> bool {
        self.is_entered() && interrupts::are_enabled()
    }

    /// Runs `f` as the owner; nothing if somebody else is.
    pub(crate) fn while_owned<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        let _disown = self.own()?;
        Some(f())
    }

    /// Makes the caller the owner, if it is not one already, until the result is dropped; nothing if somebody else is.
    pub(super) fn own(&self) -> Option<Option<Disown<'_>>> {
        if self.is_owner() {
            return Some(None);
        }
        let is_ours = !self.is_running.swap(true, Ordering::Acquire);
        is_ours.then(|| Some(Disown(&self.is_running)))
    }
}

/// The loop has no owner again when it is dropped, also by unwinding.
#[derive(Debug)]
pub(super) struct Disown<'a>(&'a AtomicBool);

impl Drop for Disown<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
