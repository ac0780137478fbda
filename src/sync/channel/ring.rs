//! The messages in a channel: a ring of places in the order of arrival.

use core::mem::MaybeUninit;
use core::ptr;

/// See the [module](self). `first` and `free` are below `CAP`, or zero.
pub(super) struct Ring<T, const CAP: usize> {
    places: [MaybeUninit<T>; CAP],
    /// Where the oldest is.
    first: usize,
    /// Where the next one will be.
    free: usize,
    len: usize,
}

impl<T, const CAP: usize> Ring<T, CAP> {
    pub(super) const fn new() -> Self {
        Self {
            places: [const { MaybeUninit::uninit() }; CAP],
            first: 0,
            free: 0,
            len: 0,
        }
    }

    #[inline(always)]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    pub(super) const fn has_room(&self) -> bool {
        self.len < CAP
    }

    /// Moves a message in.
    ///
    /// # Safety
    ///
    /// There is room, and there is a message at `message`, but none any more afterwards.
    #[inline(always)]
    pub(super) const unsafe fn push(&mut self, message: *const T) {
        let place = self.places.as_mut_ptr().wrapping_add(self.free).cast();
        // SAFETY: the caller's promise; as there is room, the place is there, and free.
        unsafe { ptr::copy_nonoverlapping(message, place, 1) };
        self.free = Self::after(self.free);
        self.len += 1;
    }

    /// Moves a message in that is to be the oldest.
    ///
    /// # Safety
    ///
    /// As [`push`](Self::push).
    pub(super) const unsafe fn push_front(&mut self, message: *const T) {
        self.first = if self.first == 0 { CAP } else { self.first } - 1;
        let place = self.places.as_mut_ptr().wrapping_add(self.first).cast();
        // SAFETY: as there.
        unsafe { ptr::copy_nonoverlapping(message, place, 1) };
        self.len += 1;
    }

    /// Moves the oldest message out.
    ///
    /// # Safety
    ///
    /// There is one, and `slot` is a place for it.
    #[inline(always)]
    pub(super) const unsafe fn pop(&mut self, slot: *mut T) {
        let place = self.places.as_ptr().wrapping_add(self.first).cast();
        // SAFETY: the caller's promise.
        unsafe { ptr::copy_nonoverlapping(place, slot, 1) };
        self.first = Self::after(self.first);
        self.len -= 1;
    }

    #[inline(always)]
    const fn after(place: usize) -> usize {
        if place + 1 == CAP { 0 } else { place + 1 }
    }
}

impl<T, const CAP: usize> Drop for Ring<T, CAP> {
    fn drop(&mut self) {
        let mut message = MaybeUninit::<T>::uninit();
        while self.len > 0 {
            // SAFETY: there is one; nothing is in the slot, or it was dropped.
            unsafe { self.pop(message.as_mut_ptr()) };
            // SAFETY: one was moved there.
            unsafe { message.assume_init_drop() };
        }
    }
}
