//! The panic of a wait where waiting is forbidden. It names the place of the wait, and the place
//! where waiting was forbidden.
//!
//! The place of the wait is the location of the panic. The place where waiting was forbidden is
//! kept in a word for each core. The word is written only when waiting becomes forbidden, and read
//! only here, so that a yield still has to test only one bit.

use super::current::{self, Word};
use crate::platform::interrupts;
use crate::scheduler::graph::wait_graph_text::Who;
use crate::scheduler::task::id::FiberId;
use crate::scheduler::task::owner::OwnerWord;
use core::fmt;
use core::panic::Location;

#[cfg(target_os = "linux")]
extern crate std;

#[cfg(all(feature = "smp", not(target_os = "linux")))]
mod place {
    use crate::core_local::{PLACE_AT, read, write};
    use core::panic::Location;
    use core::ptr;

    #[inline(always)]
    pub(crate) fn set(place: &'static Location<'static>) {
        write::<PLACE_AT>(ptr::from_ref(place).cast());
    }

    pub(crate) fn get() -> Option<&'static Location<'static>> {
        // SAFETY: null, or made of such a reference by `set`.
        unsafe { read::<PLACE_AT>().cast::<Location<'static>>().as_ref() }
    }
}

#[cfg(all(not(feature = "smp"), not(target_os = "linux")))]
mod place {
    use core::panic::Location;
    use core::ptr;
    use core::sync::atomic::{AtomicPtr, Ordering};

    static PLACE: AtomicPtr<Location<'static>> = AtomicPtr::new(ptr::null_mut());

    #[inline(always)]
    pub(crate) fn set(place: &'static Location<'static>) {
        PLACE.store(ptr::from_ref(place).cast_mut(), Ordering::Relaxed);
    }

    pub(crate) fn get() -> Option<&'static Location<'static>> {
        // SAFETY: null, or made of such a reference by `set`.
        unsafe { PLACE.load(Ordering::Relaxed).as_ref() }
    }
}

#[cfg(target_os = "linux")]
mod place {
    use super::std;
    use core::cell::Cell;
    use core::panic::Location;

    std::thread_local! {
        static PLACE: Cell<Option<&'static Location<'static>>> = const { Cell::new(None) };
    }

    #[inline(always)]
    pub(crate) fn set(place: &'static Location<'static>) {
        PLACE.set(Some(place));
    }

    pub(crate) fn get() -> Option<&'static Location<'static>> {
        PLACE.get()
    }
}

/// Records the place from which on waiting is forbidden. The caller has just forbidden it, and it
/// was allowed before.
///
/// An interrupt handler that forbids waiting in between overwrites the place, and its own record is
/// overwritten in turn.
#[inline(always)]
pub(crate) fn forbidden_at(place: &'static Location<'static>) {
    place::set(place);
}

/// Why the caller may not wait. The text is chosen when it is printed, so that a kernel whose panics
/// print nothing does not contain the choice.
struct MayNotWait {
    are_enabled: bool,
    word: Word,
    place: Option<&'static Location<'static>>,
}

impl MayNotWait {
    fn here() -> Self {
        Self {
            are_enabled: interrupts::are_enabled(),
            word: Word::read(),
            place: place::get(),
        }
    }

    /// Returns the place where waiting was forbidden, if that is why.
    fn place(&self) -> Option<&'static Location<'static>> {
        self.place.filter(|_| self.word.is_waiting_forbidden())
    }
}

impl fmt::Display for MayNotWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.word.is_in_platform() {
            return f.write_str(
                "waiting in a function of the platform or its timer: the scheduler called it, perhaps in the middle of a switch, and it \
                 must neither wait nor let others run",
            );
        }
        if self.word.is_in_switch_hook() {
            return f.write_str(
                "waiting in a switch hook: it runs in the middle of a switch, and must neither wait nor let others run; wake a fiber \
                 that does the work instead",
            );
        }
        if self.word.is_nobody() {
            return f.write_str(
                "waiting outside of a fiber, or inside of the scheduler: only fibers can wait; spawn one, and call `run`",
            );
        }
        match self.place() {
            Some(place) if self.are_enabled => write!(
                f,
                "waiting where it is forbidden by `without_waiting`, a hook or `wait_graph` since {place}: wait before \
                 it begins or after it has ended"
            ),
            Some(place) => write!(
                f,
                "waiting with interrupts off, and where it is forbidden since {place} by `without_waiting` or the guard of an \
                 `IrqMutex`: drop the guard first; or, in an interrupt handler, wake a fiber that waits instead"
            ),
            None => f.write_str(
                "waiting in an interrupt handler or with interrupts off: wake a fiber that waits instead, or turn them on first \
                 (who turned them off is not known: the guard of an `IrqMutex` would be named)",
            ),
        }
    }
}

/// Panics because the caller may not wait.
#[cold]
#[inline(never)]
#[track_caller]
pub(crate) fn may_not_wait() -> ! {
    panic!("{}", MayNotWait::here());
}

/// How a fiber ended that may not wait.
struct EndedThere(MayNotWait);

impl fmt::Display for EndedThere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.place() {
            Some(place) => write!(
                f,
                "a fiber's closure returned where waiting is forbidden since {place}, by the guard of an `IrqMutex` that was leaked or \
                 by `without_waiting`: drop the guard before the closure returns"
            ),
            None => f.write_str(
                "a fiber's closure returned with interrupts off: turn them on before it returns (which code turned them off is not known)",
            ),
        }
    }
}

/// Panics because a fiber ended with interrupts off, or where waiting is forbidden. Both are reset
/// first, so that the next fiber starts in the usual state.
#[cold]
#[inline(never)]
pub(crate) fn ended_where_waiting_is_forbidden() -> ! {
    let there = EndedThere(MayNotWait::here());
    current::allow_waiting();
    interrupts::enable();
    panic!("{there}");
}

/// Panics if a fiber uses the guard of another fiber, or if a guard is used outside of fibers.
///
/// Safe code can do this only on a host, through a thread local (rule 5 of [the
/// model](crate::model)).
#[inline(always)]
#[track_caller]
pub(crate) fn check_guard(owner: OwnerWord, what: &str) {
    if cfg!(target_os = "linux") && !owner.is_of(current::get()) {
        not_its_guard(owner, what);
    }
}

/// Returns whether the running fiber owns a lock that it is about to unlock without a guard. On a
/// host, panics if it does not, as [`check_guard`] does, unless it unwinds.
#[inline]
#[track_caller]
pub(crate) fn is_own(owner: OwnerWord, what: &str) -> bool {
    let is_own = owner.is_of(current::get());
    if cfg!(target_os = "linux") && !is_own && !owner.is_nobody() && !is_unwinding() {
        not_its_guard(owner, what);
    }
    is_own
}

/// Returns whether the running fiber unwinds.
#[cfg(target_os = "linux")]
pub(crate) fn is_unwinding() -> bool {
    std::thread::panicking()
}

/// Returns whether the running fiber is known to unwind. On the bare machine, this is never known.
#[cfg(not(target_os = "linux"))]
pub(crate) const fn is_unwinding() -> bool {
    false
}

#[cold]
#[inline(never)]
#[track_caller]
fn not_its_guard(owner: OwnerWord, what: &str) -> ! {
    let id = owner.id().expect("a guard has an owner");
    let owner = Who(id, owner.name());
    let user = current::get();
    if user.is_null() {
        panic!(
            "a guard of {owner} was {what} outside of fibers: a guard belongs to the fiber that locked; what it locked stays locked"
        );
    }
    // SAFETY: it runs.
    let id = unsafe { FiberId::of(user) };
    // SAFETY: as above.
    let user = Who(id, unsafe { &*user }.name());
    panic!(
        "a guard of {owner} was {what} by {user}: a guard belongs to the fiber that locked; what it locked stays locked"
    );
}

/// Panics because the caller may not own a lock.
#[cold]
#[inline(never)]
#[track_caller]
pub(crate) fn may_not_own() -> ! {
    panic!(
        "locking outside of a fiber or with interrupts off: only fibers can own what others wait for; see `IrqMutex`"
    );
}
