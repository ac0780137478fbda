//! Code that must not wait: how waiting is forbidden, and allowed again.

use super::current::{MAY_NOT_WAIT, word};
#[cfg(feature = "smp")]
use super::{
    current,
    lent::{self, ALL_LENT, LENT},
};
use super::{fast, misuse};
use core::panic::Location;

/// Forbids waiting, and returns whether it was allowed before. If so, the location of the caller is
/// recorded.
#[inline]
#[track_caller]
pub(crate) fn forbid_waiting() -> bool {
    let before = word::get();
    let was_allowed = before.addr() & MAY_NOT_WAIT == 0;
    if was_allowed {
        fast::suspend();
        misuse::forbidden_at(Location::caller());
    }
    word::set(before.map_addr(|address| address | MAY_NOT_WAIT));
    was_allowed
}

/// Runs `f` as code that must not wait, for instance while a spin lock is held.
///
/// An attempt to wait panics with a message that names both places: the attempted wait, and the
/// call of this function. Without this check, such code could deadlock.
///
/// A lock of the crate `spin` does not know about fibers. It should either be taken inside of this
/// function:
///
/// ```
/// # use kfiber::scheduler::without_waiting;
/// static LOCK: spin::mutex::SpinMutex<u32> = spin::mutex::SpinMutex::new(0);
/// without_waiting(|| *LOCK.lock() += 1); // a `yield_now` in there would panic
/// ```
///
/// or [yield](crate::sync::relax::YieldFiber) while it spins.
///
/// ```no_run
/// use kfiber::{platform::Host, scheduler::{self, FiberCell, Scheduler}};
/// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
/// static CELL: FiberCell<65536> = FiberCell::new();
/// SCHEDULER.spawn(&CELL, || scheduler::without_waiting(scheduler::yield_now)).unwrap();
/// SCHEDULER.run(); // panics
/// ```
///
/// # Context
///
/// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
#[track_caller]
pub fn without_waiting<R>(f: impl FnOnce() -> R) -> R {
    /// Allows waiting again when it is dropped, also when `f` unwinds. It changes only the bit,
    /// because a [`Fiber`](crate::fiber::Fiber) that was suspended within `f` may be resumed under
    /// another scheduled fiber, and must not bring the old word along.
    ///
    /// If waiting was forbidden before, nothing is done: whoever forbade it may have allowed it
    /// meanwhile, and nobody would allow it after that. A guard that was made before `f` may end in
    /// it, and so may another call of this function, in a `Fiber` that `f` resumes.
    struct Allow(bool);
    impl Drop for Allow {
        fn drop(&mut self) {
            if self.0 {
                #[cfg(feature = "smp")]
                lent::check(word::get(), 0);
                word::set(word::get().map_addr(|address| address & !MAY_NOT_WAIT));
                fast::resume();
            }
        }
    }

    let _allow = Allow(forbid_waiting());
    f()
}

/// Calls `f` with a graph of waits, which `f` makes and gives to the kernel. Waiting is forbidden
/// meanwhile, and cannot be allowed again: the fiber would leave its core, or others would run there.
/// Returns `None` without calling `f` if too many graphs are lent already.
///
/// The kernel's code may be left by a [`Fiber`](crate::fiber::Fiber) that suspends in it, and then whoever
/// forbade waiting before may want to allow it.
///
/// # Panics
///
/// Panics if a graph that was lent before ends later, or the reverse.
#[cfg(feature = "smp")]
#[track_caller]
pub(crate) fn while_lent<R>(f: impl FnOnce() -> R) -> Option<R> {
    /// Counts one less when it is dropped, also when `f` unwinds.
    struct TakeBack(usize);
    impl Drop for TakeBack {
        fn drop(&mut self) {
            lent::check(word::get(), self.0 + LENT);
            word::set(word::get().map_addr(|address| address - LENT));
        }
    }

    if current::get().is_null() {
        return Some(without_waiting(f)); // nobody but the caller could run the loop
    }
    without_waiting(|| {
        let lent = word::get().addr() & ALL_LENT;
        (lent < ALL_LENT).then(|| {
            word::set(word::get().map_addr(|address| address + LENT));
            let _take_back = TakeBack(lent);
            f()
        })
    })
}
