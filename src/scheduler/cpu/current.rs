//! The fiber that runs on this core, whether it may wait, and the loop that runs it.
//!
//! This state is two words. The first is the address of the fiber's header, or null outside of
//! fibers. Its lowest bit is set where waiting is not allowed. The second is the address of the
//! fiber's loop, or null outside of fibers, so that one comparison shows whether the caller may
//! access a loop. On the bare machine both words are statics, since one core runs one loop; with the
//! feature `smp` they are in the core's `CoreLocal`. On a host each thread has its own.
//!
//! An interrupt handler may find a fiber in the first word and null in the second, or the reverse,
//! while the loop switches between its own context and a fiber.

use super::fast;
use super::lent;
use super::misuse;
use super::no_unwind::NoUnwind;
use crate::platform::interrupts;
use crate::scheduler::task::header::Header;
use core::ptr;

#[cfg(target_os = "linux")]
extern crate std;

/// The bit that is set where waiting is not allowed: outside of fibers, and in [`without_waiting`](crate::scheduler::without_waiting).
pub(crate) const MAY_NOT_WAIT: usize = 1;
/// The bit that is also set while a switch hook runs.
const IN_SWITCH_HOOK: usize = 2;
/// Set as well while a function of the platform runs that the scheduler called where waiting was
/// allowed.
const IN_PLATFORM: usize = 4;

/// The bits of the word that are no address.
const BITS: usize = MAY_NOT_WAIT | IN_SWITCH_HOOK | IN_PLATFORM | lent::ALL_LENT;
const _: () = assert!(align_of::<Header>() > BITS);

const NOBODY: *const Header = ptr::without_provenance(MAY_NOT_WAIT);

#[cfg(all(feature = "smp", not(target_os = "linux")))]
pub(super) mod word {
    use super::{Header, MAY_NOT_WAIT};
    use crate::core_local::{FIBER_AT, RUN_LOOP_AT, read, write};

    const _: () = assert!(MAY_NOT_WAIT == 1, "`core_local` begins with this");

    #[inline(always)]
    pub(crate) fn get() -> *const Header {
        read::<FIBER_AT>().cast()
    }

    #[inline(always)]
    pub(crate) fn set(word: *const Header) {
        write::<FIBER_AT>(word.cast());
    }

    #[inline(always)]
    pub(crate) fn run_loop() -> *const () {
        read::<RUN_LOOP_AT>()
    }

    pub(crate) fn set_run_loop(run_loop: *const ()) {
        write::<RUN_LOOP_AT>(run_loop);
    }

    pub(crate) fn address() -> usize {
        read::<0>().addr()
    }
}

#[cfg(all(not(feature = "smp"), not(target_os = "linux")))]
pub(crate) mod word {
    use super::{Header, NOBODY};
    use core::ptr;
    use core::sync::atomic::{AtomicPtr, Ordering};

    pub(crate) static WORD: AtomicPtr<Header> = AtomicPtr::new(NOBODY.cast_mut());
    static RUN_LOOP: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

    #[inline(always)]
    pub(crate) fn get() -> *const Header {
        WORD.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(crate) fn set(word: *const Header) {
        WORD.store(word.cast_mut(), Ordering::Relaxed);
    }

    /// Returns whether this is the address of the loop.
    #[inline(always)]
    pub(crate) fn is_run_loop(address: *const ()) -> bool {
        // The compiler would load the address first.
        // SAFETY: it reads a static of ours, and jumps to the label or goes on.
        unsafe {
            core::arch::asm!(
                "cmp qword ptr [rip + {run_loop}], {address}",
                "jne {another}",
                run_loop = sym RUN_LOOP,
                address = in(reg) address,
                another = label { return false },
                options(nostack, readonly),
            );
        }
        true
    }

    pub(crate) fn set_run_loop(run_loop: *const ()) {
        RUN_LOOP.store(run_loop.cast_mut(), Ordering::Relaxed);
    }

    pub(crate) fn address() -> usize {
        (&raw const WORD).addr()
    }
}

#[cfg(target_os = "linux")]
pub(super) mod word {
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

/// The place where code runs. Fibers stay where they first ran. The bare machine has one core, so
/// there is only one place.
#[cfg(not(target_os = "linux"))]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place;
/// The place where code runs. Fibers stay on the thread on which they first ran.
#[cfg(target_os = "linux")]
pub(crate) type Place = std::thread::ThreadId;

/// Returns the place where this code runs.
#[cfg(not(target_os = "linux"))]
pub(crate) const fn place() -> Place {
    Place
}

/// Returns the place where this code runs.
#[cfg(target_os = "linux")]
pub(crate) fn place() -> Place {
    std::thread::current().id()
}

/// Panics if this core has no words yet.
#[cfg(all(feature = "smp", not(target_os = "linux")))]
pub(crate) use crate::core_local::check as check_words;
/// A thread always has its words.
#[cfg(all(feature = "smp", target_os = "linux"))]
pub(crate) const fn check_words() {}

/// Behaves like [`get`](fn@get), for code that may run on a core before it has words: it returns null
/// then.
#[cfg(not(target_os = "linux"))]
pub(crate) fn get_warily() -> *const Header {
    #[cfg(feature = "smp")]
    if !crate::core_local::are_there() {
        return ptr::null();
    }
    get()
}

/// Returns the running fiber, or null outside of fibers. In an interrupt handler, it is the fiber
/// that was interrupted.
#[inline(always)]
pub(crate) fn get() -> *const Header {
    word::get().map_addr(|address| address & !BITS)
}

/// Records that no fiber runs from now on.
pub(crate) fn set_nobody() {
    word::set_run_loop(ptr::null());
    word::set(NOBODY);
}

/// Records the fiber that runs from now on, where none ran before.
///
/// # Safety
///
/// `fiber` must be alive.
pub(crate) unsafe fn set_first(fiber: *const Header) {
    // SAFETY: the caller's promise.
    word::set_run_loop(unsafe { Header::loop_address(fiber) });
    word::set(fiber);
}

/// Records the fiber that runs from now on, after another fiber of the same loop.
#[inline(always)]
pub(crate) fn set_next(fiber: *const Header) {
    word::set(fiber);
}

/// Returns whether the running fiber belongs to this loop. In an interrupt handler, this applies to
/// the fiber that was interrupted.
#[inline(always)]
pub(crate) fn is_in(run_loop: *const ()) -> bool {
    #[cfg(not(any(feature = "smp", target_os = "linux")))]
    return word::is_run_loop(run_loop);
    #[cfg(any(feature = "smp", target_os = "linux"))]
    return ptr::eq(word::run_loop(), run_loop);
}

/// Returns the address of the loop of the running fiber, or null outside of fibers.
#[cfg(feature = "smp")]
pub(crate) fn run_loop_address() -> *const () {
    word::run_loop()
}

/// Returns the running fiber, which wants to wait or to yield. The caller is the owner of its loop.
///
/// # Panics
///
/// Panics where waiting is not allowed.
#[inline(always)]
#[track_caller]
pub(crate) fn waiting_fiber() -> *const Header {
    let word = word::get();
    let flags = interrupts::flags();
    // Where yields are fast, the mask says both at once: see `fast`.
    #[cfg(not(any(feature = "smp", target_os = "linux")))]
    if fast::FastYields::new().are_allowed_with(flags) {
        // SAFETY: the mask says so.
        unsafe { core::hint::assert_unchecked(word.addr() & MAY_NOT_WAIT == 0) };
        return word;
    }
    if word.addr() & MAY_NOT_WAIT != 0 || flags & interrupts::FLAG == 0 {
        misuse::may_not_wait();
    }
    word
}

/// Returns the running fiber, which wants to own a lock. It need not be allowed to wait.
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

/// Returns whether [`waiting_fiber`] would succeed.
#[inline(always)]
pub(crate) fn may_wait() -> bool {
    word::get().addr() & MAY_NOT_WAIT == 0 && interrupts::are_enabled()
}

/// Records that a switch hook is about to be called, from the fiber `prev`, or from no fiber if it
/// is null. The switch records the next running fiber afterwards.
#[inline(always)]
pub(crate) fn enter_switch_hook(prev: *const Header) {
    word::set(prev.map_addr(|address| address | MAY_NOT_WAIT | IN_SWITCH_HOOK));
}

/// Calls a function of the platform, which must not wait: the scheduler's state may be half-changed.
#[inline(always)]
pub(crate) fn call_platform<R>(f: impl FnOnce() -> R) -> R {
    let no_unwind = NoUnwind::begin(
        "a function of the platform panicked: the scheduler called it, and it must neither wait nor panic",
    );
    let before = word::get();
    let could_wait = before.addr() & MAY_NOT_WAIT == 0;
    if could_wait {
        fast::suspend();
        word::set(before.map_addr(|address| address | MAY_NOT_WAIT | IN_PLATFORM));
    }
    let result = f();
    word::set(before);
    if could_wait {
        fast::resume();
    }
    no_unwind.done();
    result
}

/// Calls a platform's `kick`, in the middle of a wake-up. The caller has [forbidden](fast) fast yields.
///
/// Unlike in [`call_platform`], the fiber that it runs in cannot fail alone: others that are to be
/// woken next would wait for ever, and what it has given away already is not its own any more.
#[cfg(any(target_os = "linux", feature = "smp"))]
#[inline(always)]
pub(crate) fn call_kick(kick: impl FnOnce()) {
    let no_unwind = NoUnwind::begin(
        "a function of the platform panicked: its `kick` was called for one that was woken, and must neither wait nor panic",
    );
    let before = word::get();
    word::set(before.map_addr(|address| address | MAY_NOT_WAIT | IN_PLATFORM | IN_SWITCH_HOOK));
    kick();
    word::set(before);
    no_unwind.done();
}

/// Calls `f`, in which the scheduler's state is half-changed and functions of the platform are called.
#[inline(always)]
pub(crate) fn half_changed<R>(f: impl FnOnce() -> R) -> R {
    fast::suspend(); // for good: the loop allows fast yields anew
    let before = word::get();
    word::set(before.map_addr(|address| address | MAY_NOT_WAIT | IN_PLATFORM | IN_SWITCH_HOOK));
    let result = f();
    word::set(before);
    result
}

/// Returns whether a function of the platform runs on behalf of a fiber that could wait.
pub(crate) fn is_in_platform_by_fiber() -> bool {
    word::get().addr() & (IN_PLATFORM | IN_SWITCH_HOOK) == IN_PLATFORM
}

/// What the word of this core says, read once.
#[derive(Clone, Copy)]
pub(crate) struct Word(usize);

impl Word {
    pub(crate) fn read() -> Self {
        Self(word::get().addr())
    }

    /// Returns whether a function of the platform runs that the scheduler called.
    pub(crate) const fn is_in_platform(self) -> bool {
        self.0 & IN_PLATFORM != 0
    }

    /// Returns whether a switch hook runs.
    pub(crate) const fn is_in_switch_hook(self) -> bool {
        self.0 & IN_SWITCH_HOOK != 0
    }

    /// Returns whether no fiber runs.
    pub(crate) const fn is_nobody(self) -> bool {
        self.0 & !BITS == 0
    }

    /// Returns whether waiting is forbidden by code whose location was recorded.
    pub(crate) const fn is_waiting_forbidden(self) -> bool {
        self.0 & MAY_NOT_WAIT != 0
    }
}

/// Checks the running fiber after its closure has returned. Panics in this fiber if it has left a
/// state in which the next fiber could not wait.
#[inline(always)]
pub(crate) fn check_end() {
    if !may_wait() {
        #[cfg(feature = "smp")]
        lent::check(word::get(), 0);
        misuse::ended_where_waiting_is_forbidden();
    }
}

/// Returns whether waiting is forbidden by code whose location was recorded.
pub(crate) fn is_waiting_forbidden() -> bool {
    Word::read().is_waiting_forbidden()
}

/// Allows waiting again. To be called only if [`forbid_waiting`](super::forbid::forbid_waiting) returned true.
#[inline]
pub(crate) fn allow_waiting() {
    word::set(get());
    fast::resume();
}

/// Returns a number of this core, or on a host of this thread. It is never zero.
#[inline]
pub(crate) fn this_core() -> usize {
    word::address()
}
