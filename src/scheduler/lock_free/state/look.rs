//! An examination of a finished fiber, whose cell is not freed meanwhile.

#[cfg(any(feature = "smp", loom))]
use super::FAILED;
use super::{DETACHED, FINISHED, LOOKED_AT, State};
use crate::atomic::{Bits as _, Ordering};

impl State {
    #[cold]
    #[inline(never)]
    pub(crate) fn await_end_of_look(&self) {
        while self.0.load(Ordering::Acquire) & LOOKED_AT != 0 {
            crate::atomic::spin_loop();
        }
    }

    /// Keeps the cell of a finished fiber from being freed until [`end_look`](Self::end_look).
    /// Returns false if the fiber has not finished, or if nobody will take its result. Only the
    /// owner may call this, with interrupts off.
    #[must_use]
    pub(crate) fn begin_look(&self) -> bool {
        let mut current = self.0.load(Ordering::Relaxed);
        while current & (FINISHED | DETACHED) == FINISHED {
            // Another core that looks is done in a few instructions.
            if cfg!(feature = "smp") && current & LOOKED_AT != 0 {
                crate::atomic::spin_loop();
                current = self.0.load(Ordering::Relaxed);
                continue;
            }
            match self.0.compare_exchange_weak(
                current,
                current | LOOKED_AT,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(seen) => current = seen,
            }
        }
        false
    }

    /// Keeps the cell of a fiber from being freed until [`end_look`](Self::end_look), whether the
    /// fiber has finished or not. Returns false if no fiber lives in the cell. Any core may call this,
    /// with interrupts off.
    #[cfg(any(feature = "smp", loom))]
    #[must_use]
    pub(crate) fn hold(&self) -> bool {
        let mut current = self.0.load(Ordering::Relaxed);
        loop {
            let is_free = current & (FINISHED | DETACHED | FAILED) == FINISHED | DETACHED;
            if is_free || super::generation(current) == 0 {
                return false;
            }
            // Another core that looks is done in a few instructions.
            let next = (current & !LOOKED_AT) | LOOKED_AT;
            let expected = current & !LOOKED_AT;
            match self
                .0
                .compare_exchange_weak(expected, next, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(seen) => current = seen,
            }
            crate::atomic::spin_loop();
        }
    }

    /// Returns whether an examination is in progress, between [`begin_look`](Self::begin_look) and
    /// [`end_look`](Self::end_look).
    pub(crate) fn is_looked_at(&self) -> bool {
        self.0.load(Ordering::Relaxed) & LOOKED_AT != 0
    }

    /// Ends an examination that [`begin_look`](Self::begin_look) began.
    pub(crate) fn end_look(&self) {
        self.0.clear::<LOOKED_AT>(Ordering::Release);
    }
}
