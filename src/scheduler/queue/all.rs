//! The list of all headers that ever had a fiber of a run loop. They are in statics, so it only grows.

use crate::scheduler::task::header::Header;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// See the [module](self).
pub(crate) struct AllFibers(AtomicPtr<Header>);

impl AllFibers {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Adds a header, in front.
    ///
    /// # Safety
    ///
    /// It is in no such list yet, and stays for good.
    pub(crate) unsafe fn push(&self, header: *const Header) {
        let mut first = self.0.load(Ordering::Relaxed);
        loop {
            // SAFETY: the caller's promise.
            unsafe { (*header).next_of_all.store(first, Ordering::Relaxed) };
            // SAFETY: as above.
            unsafe { (*header).link_check.store(fold(first), Ordering::Relaxed) };
            match self.0.compare_exchange_weak(
                first,
                header.cast_mut(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(seen) => first = seen,
            }
        }
    }

    /// As [`iter`](Self::iter), for one who must not trust the list, because somebody may have written over it: ends at the
    /// first header whose link is damaged. Returns with each whether it is that one.
    pub(crate) fn iter_warily(&self) -> impl Iterator<Item = (&'static Header, bool)> + use<> {
        let mut next: *const Header = self.0.load(Ordering::Acquire);
        core::iter::from_fn(move || {
            // SAFETY: null, or a header in the list, which stays for good: the link that led here was as it was written.
            let header = unsafe { next.as_ref::<'static>() }?;
            next = header.next_of_all.load(Ordering::Acquire);
            let is_damaged = !is_whole(header);
            if is_damaged {
                next = ptr::null();
            }
            Some((header, is_damaged))
        })
    }

    /// The headers, the latest first, as pointers that lead to all of their control blocks.
    pub(crate) fn iter(&self) -> Headers {
        Headers(self.0.load(Ordering::Acquire))
    }
}

/// See [`AllFibers::iter`].
pub(crate) struct Headers(*const Header);

// SAFETY: it gives out addresses of statics; to use them is another matter.
unsafe impl Send for Headers {}

impl Iterator for Headers {
    type Item = *const Header;

    fn next(&mut self) -> Option<*const Header> {
        let header = self.0;
        // SAFETY: headers in the list stay for good.
        self.0 = unsafe { header.as_ref() }?
            .next_of_all
            .load(Ordering::Acquire);
        Some(header)
    }
}

/// Whether a header's link is as it was written: then so is what lies below it in the header, for an overflow of the stack
/// above comes down from there.
pub(crate) fn is_whole(header: &Header) -> bool {
    let next = header.next_of_all.load(Ordering::Acquire);
    header.link_check.load(Ordering::Relaxed) == fold(next)
}

/// Sixteen bits of a link: whoever writes over it hardly hits the same. Those of null are not zero, which is what memory
/// that was wiped would have.
fn fold(link: *const Header) -> u16 {
    let mixed = (link.addr() as u64 ^ 0xf1be_57ac_f1be_57ac).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 48) as u16
}
