//! The first word of whatever one fiber has while others wait for it, so that a report finds out who that is.
//!
//! - **O1**: what a fiber waits for with the reason `Mutex`, `Read`, `Write` or `Once` begins with an `AtomicPtr<Header>`: the
//!   fiber that has it, or null if nobody has or it is not known who. The low bits, which a header's address leaves free, are
//!   the owner's own business, but for `Read` and `Write`: there [`READS`] says that the fiber only reads.

use super::header::Header;
use super::wait::{Wait, WaitReason};
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// In the first word of a reader-writer lock: the fiber reads, perhaps with others.
pub(crate) const READS: usize = 1;

/// Low bits of the word that are not part of the address.
const FREE_BITS: usize = align_of::<Header>() - 1;

/// Who has what is waited for.
pub(super) enum HeldBy {
    Nobody,
    Fiber(*const Header),
    /// Several, or one that is not known.
    Fibers,
}

/// Who must give what the fiber waits for.
///
/// # Safety
///
/// The reason of its wait is one of **O1**, and it waits, so that what it waits for is alive.
pub(super) unsafe fn of(wait: &Wait, fiber: *const Header) -> HeldBy {
    // SAFETY: O1, and the caller's promise.
    let word = unsafe { &*wait.object.cast::<AtomicPtr<Header>>() };
    let word = word.load(Ordering::Relaxed).cast_const();
    let owner = word.map_addr(|address| address & !FREE_BITS);
    let reads = matches!(wait.kind.reason, WaitReason::Read | WaitReason::Write)
        && word.addr() & READS != 0;
    match wait.kind.reason {
        // It was handed over to the fiber of the wait, which is only to be woken. (No fiber waits for what it has: that panics.)
        _ if ptr::eq(owner, fiber) && !reads => HeldBy::Nobody,
        // Who wants to read while others read waits for a writer in front of it in the line, not for them.
        WaitReason::Read if reads || owner.is_null() => HeldBy::Fibers,
        WaitReason::Write if owner.is_null() => HeldBy::Fibers,
        _ if owner.is_null() => HeldBy::Nobody,
        _ => HeldBy::Fiber(owner),
    }
}
