//! What only kernels contain in which somebody joins a fiber, or polls its handle.
//!
//! A fiber that nobody waits for is the common case in the smallest kernels, which always drop the
//! handle. On the bare machine with one core, the code for joiners is therefore reached by two words,
//! which are set before a joiner is put into its place. Elsewhere it is called directly.
//!
//! - **J3**: there is a joiner in a place only after [`may_be_joined`] or [`may_be_polled`], and a
//!   waker only after the latter.

use crate::scheduler::lock_free::joiner::JoinerPlace;
use crate::scheduler::task::header::Header;
#[cfg(all(not(target_os = "linux"), not(feature = "smp")))]
use {super::end::finish_and_wake, crate::atomic::WhenUsed, crate::context::Payload};

/// Ends a fiber that has a joiner.
#[cfg(all(not(target_os = "linux"), not(feature = "smp")))]
static FINISH: WhenUsed<unsafe fn(*const Header) -> Payload> = WhenUsed::new();

/// Removes the waker of a handle that is dropped.
#[cfg(all(not(target_os = "linux"), not(feature = "smp")))]
static REMOVE: WhenUsed<fn(&JoinerPlace<Header>)> = WhenUsed::new();

/// Records that a fiber is about to join another.
#[inline(always)]
#[cfg_attr(
    any(target_os = "linux", feature = "smp"),
    expect(clippy::missing_const_for_fn, reason = "elsewhere it sets a word")
)]
pub(super) fn may_be_joined() {
    #[cfg(all(not(target_os = "linux"), not(feature = "smp")))]
    // SAFETY: W1: it is the only one.
    unsafe {
        FINISH.set(finish_and_wake);
    }
}

/// Records that a handle is polled.
pub(super) fn may_be_polled() {
    may_be_joined();
    #[cfg(all(not(target_os = "linux"), not(feature = "smp")))]
    // SAFETY: W1: it is the only one.
    unsafe {
        REMOVE.set(remove);
    }
}

/// Ends the running fiber, which has a joiner.
///
/// # Safety
///
/// The requirements of [`finish_and_wake`] apply.
#[cfg(all(not(target_os = "linux"), not(feature = "smp")))]
#[inline(always)]
pub(super) unsafe fn finish(header: *const Header) -> Payload {
    // SAFETY: J3.
    let finish = unsafe { FINISH.get() };
    // SAFETY: the caller's promise.
    unsafe { finish(header) }
}

/// Removes the waker from its place.
///
/// # Safety
///
/// There is a waker, and the caller has the handle.
#[inline(always)]
pub(super) unsafe fn drop_waker(place: &JoinerPlace<Header>) {
    #[cfg(all(not(target_os = "linux"), not(feature = "smp")))]
    // SAFETY: J3.
    let remove = unsafe { REMOVE.get() };
    remove(place);
}

fn remove(place: &JoinerPlace<Header>) {
    let _removed = place.clear();
}
