//! The list of all headers that ever had a fiber of a run loop. They are in statics, so it only grows.

use super::header::Header;
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

    /// The headers, the latest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static Header> + use<> {
        // SAFETY: headers in the list stay for good.
        let first = unsafe { self.0.load(Ordering::Acquire).as_ref::<'static>() };
        core::iter::successors(first, |header| {
            // SAFETY: as above.
            unsafe {
                header
                    .next_of_all
                    .load(Ordering::Acquire)
                    .as_ref::<'static>()
            }
        })
    }

    /// As [`iter`](Self::iter), as pointers that lead to all of their control blocks.
    pub(crate) fn pointers(&self) -> impl Iterator<Item = *const Header> + use<> {
        let pointer = |place: &AtomicPtr<Header>| {
            let header = place.load(Ordering::Acquire).cast_const();
            (!header.is_null()).then_some(header)
        };
        core::iter::successors(pointer(&self.0), move |header| {
            // SAFETY: headers in the list stay for good.
            pointer(unsafe { &(**header).next_of_all })
        })
    }
}
