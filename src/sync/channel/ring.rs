//! The messages in a channel: a ring of places in the order of arrival.

use core::mem::MaybeUninit;
use core::ptr;

/// See the [module](self).
pub(super) struct Ring<T, const CAP: usize> {
    places: [MaybeUninit<T>; CAP],
    first: usize,
    len: usize,
}

impl<T, const CAP: usize> Ring<T, CAP> {
    pub(super) const fn new() -> Self {
        Self {
            places: [const { MaybeUninit::uninit() }; CAP],
            first: 0,
            len: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Moves a message in; returns false if there is no room.
    ///
    /// # Safety
    ///
    /// There is one at `message`, and none any more afterwards if it was moved.
    #[inline(always)]
    pub(super) const unsafe fn push(&mut self, message: *const T) -> bool {
        if self.len == CAP {
            return false;
        }
        let mut at = self.first + self.len;
        if at >= CAP {
            at -= CAP;
        }
        let place = self.places[at].as_mut_ptr();
        // SAFETY: the caller's promise; the place is free.
        unsafe { ptr::copy_nonoverlapping(message, place, 1) };
        self.len += 1;
        true
    }

    /// Moves the oldest message out; returns false if there is none.
    ///
    /// # Safety
    ///
    /// `slot` is a place for one.
    #[inline(always)]
    pub(super) const unsafe fn pop(&mut self, slot: *mut T) -> bool {
        if self.len == 0 {
            return false;
        }
        let place = self.places[self.first].as_ptr();
        // SAFETY: the first of `len` places has a message; the caller vouches for the slot.
        unsafe { ptr::copy_nonoverlapping(place, slot, 1) };
        self.first = if self.first + 1 == CAP {
            0
        } else {
            self.first + 1
        };
        self.len -= 1;
        true
    }
}

impl<T, const CAP: usize> Drop for Ring<T, CAP> {
    fn drop(&mut self) {
        let mut message = MaybeUninit::<T>::uninit();
        // SAFETY: nothing is in the slot, or it was dropped.
        while unsafe { self.pop(message.as_mut_ptr()) } {
            // SAFETY: one was moved there.
            unsafe { message.assume_init_drop() };
        }
    }
}
