//! The fiber that runs on this core, whether it may wait, and the loop that runs it.
//!
//! Two words. The first is the address of its header, or of nothing; the lowest bit is set where waiting is not allowed. The
//! second is the address of its loop, null outside of fibers: so whether one may touch a loop is one comparison. On the bare
//! machine both are statics, since one core runs one loop; on a host there are two for each thread.
//!
//! An interrupt handler may find a fiber in the first and null in the second, or the reverse, while root and a fiber take turns.

use super::misuse;
use crate::platform::interrupts;
use crate::scheduler::task::header::Header;
use core::panic::Location;
use core::ptr;

#[cfg(not(target_os = "none"))]
extern crate std;

/// Set in the word where the code that runs may not wait: outside of fibers, and in [`without_waiting`].
const MAY_NOT_WAIT: usize = 1;
/// Set as well while a switch hook runs.
const IN_SWITCH_HOOK: usize = 2;

const NOBODY: *const Header = ptr::without_provenance(MAY_NOT_WAIT);

#[cfg(target_os = "none")]
mod word {
    use super::{Header, NOBODY};
    use core::ptr;
    use core::sync::atomic::{AtomicPtr, Ordering};

    static WORD: AtomicPtr<Header> = AtomicPtr::new(NOBODY.cast_mut());
    static RUN_LOOP: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

    #[inline(always)]
    pub(crate) fn get() -> *const Header {
        WORD.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(crate) fn set(word: *const Header) {
        WORD.store(word.cast_mut(), Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn run_loop() -> *const () {
        RUN_LOOP.load(Ordering::Relaxed)
    }

    pub(crate) fn set_run_loop(run_loop: *const ()) {
        RUN_LOOP.store(run_loop.cast_mut(), Ordering::Relaxed);
    }

    pub(crate) fn address() -> usize {
        (&raw const WORD).addr()
    }
}

#[cfg(not(target_os = "none"))]
mod word {
    use super::{Header, NOBODY, std};
    use core::cell::Cell;
    use core::ptr;

    std::thread_local! {
        static WORD: Cell<*const Header> = const { Cell::new(NOBODY) };
        static RUN_LOOP: Cell<*const ()> = const { Cell::new(ptr::null()) };
    }

    #[inline(always)]
    pub(crate) fn get() -> *const Header {
        WORD.get()
    }

    #[inline(always)]
    pub(crate) fn set(word: *const Header) {
        WORD.set(word);
    }

    #[inline(always)]
    pub(crate) fn run_loop() -> *const () {
        RUN_LOOP.get()
    }

    pub(crate) fn set_run_loop(run_loop: *const ()) {
        RUN_LOOP.set(run_loop);
    }

    pub(crate) fn address() -> usize {
        WORD.with(|word| ptr::from_ref(word).addr())
    }
}

/// Where code runs: fibers stay where they first ran. The bare machine has one core.
#[cfg(target_os = "none")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place;
/// Where code runs: fibers stay on the thread where they first ran.
#[cfg(not(target_os = "none"))]
pub(crate) type Place = std::thread::ThreadId;

/// Where this code runs.
#[cfg(target_os = "none")]
pub(crate) const fn place() -> Place {
    Place
}

/// Where this code runs.
#[cfg(not(target_os = "none"))]
pub(crate) fn place() -> Place {
    std::thread::current().id()
}

/// The fiber that runs, null outside of fibers. In an interrupt handler it is the one that was interrupted.
#[inline(always)]
pub(crate) fn get() -> *const Header {
    word::get().map_addr(|address| address & !(MAY_NOT_WAIT | IN_SWITCH_HOOK))
}

/// Says that nobody runs from now on.
pub(crate) fn set_nobody() {
    word::set_run_loop(ptr::null());
    word::set(NOBODY);
}

/// Says who runs from now on, after nobody did.
///
/// # Safety
///
/// `fiber` is alive.
pub(crate) unsafe fn set_first(fiber: *const Header) {
    // SAFETY: the caller's promise.
    word::set_run_loop(unsafe { Header::loop_address(fiber) });
    word::set(fiber);
}

/// Says who runs from now on, after another fiber of the same loop.
#[inline(always)]
pub(crate) fn set_next(fiber: *const Header) {
    word::set(fiber);
}

/// Says whether the fiber that runs is one of this loop; in an interrupt handler, whether the one that was interrupted is.
#[inline(always)]
pub(crate) fn is_in(run_loop: *const ()) -> bool {
    ptr::eq(word::run_loop(), run_loop)
}

/// The fiber that runs, which wants to wait, or to let others run. The caller is its loop's owner.
///
/// # Panics
///
/// Panics where waiting is not allowed.
#[inline(always)]
#[track_caller]
pub(crate) fn waiting_fiber() -> *const Header {
    let word = word::get();
    if word.addr() & MAY_NOT_WAIT != 0 || !interrupts::are_enabled() {
        misuse::may_not_wait();
    }
    word
}

/// The fiber that runs, which wants to own something. It need not be allowed to wait.
///
/// # Panics
///
/// Panics outside of fibers, in interrupt handlers, and with interrupts off.
#[inline(always)]
#[track_caller]
pub(crate) fn owning_fiber() -> *const Header {
    let fiber = get();
    if fiber.is_null() || !interrupts::are_enabled() {
        misuse::may_not_own();
    }
    fiber
}

/// Says whether [`waiting_fiber`] would not panic.
#[inline(always)]
pub(crate) fn may_wait() -> bool {
    word::get().addr() & MAY_NOT_WAIT == 0 && interrupts::are_enabled()
}

/// A switch hook is about to be called, from the fiber `prev`, or from nobody if that is null. Whoever runs after the switch is
/// said anew.
#[inline(always)]
pub(crate) fn enter_switch_hook(prev: *const Header) {
    word::set(prev.map_addr(|address| address | MAY_NOT_WAIT | IN_SWITCH_HOOK));
}

/// Says whether a switch hook runs.
pub(crate) fn is_in_switch_hook() -> bool {
    word::get().addr() & IN_SWITCH_HOOK != 0
}

/// The closure of the running fiber has returned: panics, in this fiber, if the next one could not wait because of it.
#[inline(always)]
pub(crate) fn check_end() {
    if !may_wait() {
        misuse::ended_where_waiting_is_forbidden();
    }
}

/// Says whether waiting is forbidden, by whoever did it first at a place that is remembered.
pub(crate) fn is_waiting_forbidden() -> bool {
    word::get().addr() & MAY_NOT_WAIT != 0
}

/// Forbids waiting; returns whether it was allowed. The caller's place is remembered then.
#[inline]
#[track_caller]
pub(crate) fn forbid_waiting() -> bool {
    let before = word::get();
    word::set(before.map_addr(|address| address | MAY_NOT_WAIT));
    let was_allowed = before.addr() & MAY_NOT_WAIT == 0;
    if was_allowed {
        misuse::forbidden_at(Location::caller());
    }
    was_allowed
}

/// Ends what [`forbid_waiting`] began, if that said that it was allowed.
#[inline]
pub(crate) fn allow_waiting() {
    word::set(get());
}

/// Which core this is, on a host which thread; not zero.
#[inline]
pub(crate) fn this_core() -> usize {
    word::address()
}

/// Runs `f` as code that must not wait, for instance while a spin lock is held: whoever tries gets a panic that names both
/// places, where it was tried and where it was forbidden, instead of a deadlock some day.
///
/// A lock of the crate `spin` does not know of fibers. Take it in here:
///
/// ```
/// # use kfiber::scheduler::without_waiting;
/// static LOCK: spin::mutex::SpinMutex<u32> = spin::mutex::SpinMutex::new(0);
/// without_waiting(|| *LOCK.lock() += 1); // a `yield_now` in there would panic
/// ```
///
/// or let it [yield](crate::sync::relax::YieldFiber) while it spins.
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
    /// Allows it again, also when `f` unwinds. Only the bit is put back: a [`Fiber`](crate::fiber::Fiber) suspended within
    /// `f` may go on under another scheduled fiber, and must not take the word along.
    struct Allow(usize);
    impl Drop for Allow {
        fn drop(&mut self) {
            word::set(word::get().map_addr(|address| address & !MAY_NOT_WAIT | self.0));
        }
    }

    let was_allowed = forbid_waiting();
    let _allow = Allow(if was_allowed { 0 } else { MAY_NOT_WAIT });
    f()
}
