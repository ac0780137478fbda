//! The list of all headers that ever had a fiber of a run loop. The headers are in statics, so the
//! list only grows.

use crate::scheduler::task::header::Header;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// The list; see the [module](self).
pub(crate) struct AllFibers(AtomicPtr<Header>);

impl AllFibers {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Adds a header at the front.
    ///
    /// # Safety
    ///
    /// The header must not be in such a list yet, and must stay in place forever.
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

    /// Behaves like [`iter`](Self::iter), for a list that may have been overwritten: it ends at the
    /// first header whose link is damaged. It returns each header with a flag that says whether it
    /// is that one.
    pub(crate) fn iter_warily(&self) -> impl Iterator<Item = (&'static Header, bool)> + use<> {
        let mut next: *const Header = self.0.load(Ordering::Acquire);
        core::iter::from_fn(move || {
            // SAFETY: null, or a header in the list, which stays for good: the link that led here
            // was as it was written.
            let header = unsafe { next.as_ref::<'static>() }?;
            next = header.next_of_all.load(Ordering::Acquire);
            let is_damaged = !is_whole(header);
            if is_damaged {
                next = ptr::null();
            }
            Some((header, is_damaged))
        })
    }

    /// Returns the headers, the latest first, as pointers from which the whole control blocks can
    /// be reached.
    pub(crate) fn iter(&self) -> Headers {
        Headers(self.0.load(Ordering::Acquire))
    }
}

/// The iterator of [`AllFibers::iter`].
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

/// Returns whether the link of a header is intact. Everything below the link in the header is then
/// intact too, because an overflow of the stack above comes down from there.
pub(crate) fn is_whole(header: &Header) -> bool {
    let next = header.next_of_all.load(Ordering::Acquire);
    header.link_check.load(Ordering::Relaxed) == fold(next)
}

/// Returns a check value of 16 bits for a link, which an overwrite is unlikely to match. The value
/// for null is not zero, because wiped memory contains zeros.
fn fold(link: *const Header) -> u16 {
    let mixed = (link.addr() as u64 ^ 0xf1be_57ac_f1be_57ac).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 48) as u16
}
