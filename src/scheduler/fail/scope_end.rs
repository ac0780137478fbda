//! What happens when a fiber of a scope has ended or failed: the owner of the scope is told, or
//! fails with it.

#[cfg(not(feature = "smp"))]
use crate::scheduler::run_loop::RunLoop;
use crate::scheduler::run_loop::wake;
use crate::scheduler::task::control::Extra;
use crate::scheduler::task::header::Header;
#[cfg(not(feature = "smp"))]
use crate::scheduler::task::id::FiberId;
use crate::scheduler::task::scope_count::ScopeCount;
use core::ptr;
use core::sync::atomic::Ordering;

impl ScopeCount {
    pub(crate) fn running(&self) -> usize {
        // Acquire makes visible what the fibers wrote into what they borrowed.
        self.running.load(Ordering::Acquire)
    }

    /// Records that a fiber of the scope has failed. Nobody else has what it had borrowed.
    pub(crate) fn one_has_failed(&self) {
        self.has_failure.store(true, Ordering::Relaxed);
        self.one_is_done();
    }

    /// Records that a fiber of the scope no longer uses anything that it borrowed.
    pub(crate) fn one_is_done(&self) {
        // This is read first: afterwards the owner may leave the scope, which ends the count.
        let owner = self.owner();
        let header = owner.header();
        #[cfg(feature = "smp")]
        // SAFETY: headers stay readable for good.
        let is_last_of_failed = unsafe { (*header).state.give_back(owner.generation) };
        #[cfg(feature = "smp")]
        {
            if self.running.fetch_sub(1, Ordering::Release) == 1 {
                // SAFETY: as below.
                unsafe { wake(header) };
            }
            if is_last_of_failed {
                leave_scope(header);
            }
        }
        #[cfg(not(feature = "smp"))]
        if self.running.fetch_sub(1, Ordering::Release) == 1 {
            // SAFETY: headers stay readable for good. The fiber that lives there now gets at most
            // one superfluous wake-up.
            unsafe { wake(header) };
            // SAFETY: as above.
            let is_there = unsafe { FiberId::of(header) } == owner;
            // SAFETY: as above.
            if is_there && unsafe { (*header).state.is_failed() } {
                leave_scope(header);
            }
        }
    }
}

/// Tells the scope that waits for a failed fiber, if there is one. This happens only when the
/// fiber's own scopes are empty, because it may have lent what it borrowed to their fibers.
pub(crate) fn leave_scope(failed: *const Header) {
    // SAFETY: it is a cell's.
    let place = unsafe { &Extra::of(failed).scope };
    // SAFETY: a scope waits for its fibers.
    let Some(scope) = (unsafe { place.get().as_ref() }) else {
        return;
    };
    #[cfg(feature = "smp")]
    let lends = false; // the caller is told so by the owner's state
    #[cfg(not(feature = "smp"))]
    // SAFETY: headers stay readable for good.
    let run_loop = unsafe { RunLoop::of(failed) };
    #[cfg(not(feature = "smp"))]
    // SAFETY: headers stay readable for good.
    let id = unsafe { FiberId::of(failed) };
    #[cfg(not(feature = "smp"))]
    let lends = run_loop.team().all.iter().any(|fiber| {
        // SAFETY: it is a cell's.
        let scope = unsafe { Extra::of(fiber) }.scope.get();
        // SAFETY: a scope waits for its fibers.
        unsafe { scope.as_ref() }.is_some_and(|scope| scope.owner() == id)
    });
    if !lends {
        place.set(ptr::null());
        scope.one_has_failed();
    }
}
