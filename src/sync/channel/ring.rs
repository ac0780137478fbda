//! The ring buffer of a channel, which holds messages in the order of their arrival.

use core::mem::MaybeUninit;
use core::ptr;

/// A ring buffer; see the [module](self). `first` and `free` are below `CAP`, or zero.
pub(super) struct Ring<T, const CAP: usize> {
    places: [MaybeUninit<T>; CAP],
    /// The index of the oldest message.
    first: usize,
    /// The index at which the next message is stored.
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

    /// Moves a message into the ring.
    ///
    /// # Safety
    ///
    /// The ring must have room. `message` must point to a message, which is moved out by the call.
    #[inline(always)]
    pub(super) const unsafe fn push(&mut self, message: *const T) {
        let place = self.places.as_mut_ptr().wrapping_add(self.free).cast();
        // SAFETY: the caller's promise; as there is room, the place is there, and free.
        unsafe { ptr::copy_nonoverlapping(message, place, 1) };
        self.free = Self::after(self.free);
        self.len += 1;
    }

    /// Moves a message into the ring, in front of all others.
    ///
    /// # Safety
    ///
    /// The requirements of [`push`](Self::push) apply.
    pub(super) const unsafe fn push_front(&mut self, message: *const T) {
        self.first = if self.first == 0 { CAP } else { self.first } - 1;
        let place = self.places.as_mut_ptr().wrapping_add(self.first).cast();
        // SAFETY: as there.
        unsafe { ptr::copy_nonoverlapping(message, place, 1) };
        self.len += 1;
    }

    /// Moves the oldest message out of the ring.
    ///
    /// # Safety
    ///
    /// The ring must contain a message, and `slot` must have room for one.
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
