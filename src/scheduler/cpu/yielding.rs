//! The running fiber and the flags, as a yield finds them: whether they allow it is asked later.

use super::current::{MAY_NOT_WAIT, word};
use crate::platform::interrupts;
use crate::scheduler::task::header::Header;

/// Returns the processor's flags, and the running fiber, which wants to yield. It may yield if these
/// flags [allow a fast yield](super::fast::FastYields::are_allowed_with). Otherwise [`may_yield`]
/// finds out.
///
/// # Panics
///
/// Panics where waiting is not allowed, except on the bare machine with one core. There, what is
/// returned may be no fiber's address.
#[inline(always)]
#[track_caller]
pub(crate) fn yielding_fiber() -> (u32, *const Header) {
    let word = word::get();
    #[cfg(any(feature = "smp", target_os = "linux"))]
    if word.addr() & MAY_NOT_WAIT != 0 {
        super::misuse::may_not_wait();
    }
    (interrupts::flags(), word)
}

/// Returns whether what [`yielding_fiber`] has returned may yield. It is then the running fiber, and
/// the caller is the owner of its loop.
#[inline(always)]
pub(crate) fn may_yield(flags: u32, word: *const Header) -> bool {
    word.addr() & MAY_NOT_WAIT == 0 && flags & interrupts::FLAG != 0
}
