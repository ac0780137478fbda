//! The ring buffer of a channel, which holds messages in the order of their arrival.
//!
//! Positions and amounts are in bytes, so that an index need not be multiplied. A message without a
//! size counts as one byte.

use core::mem::MaybeUninit;
use core::ptr;

/// A ring buffer; see the [module](self).
pub(super) struct Ring<T, const CAP: usize> {
    places: [MaybeUninit<T>; CAP],
    /// The position of the oldest message.
    first: usize,
    /// How much is in use. While the channel is unlocked, the [word](super::word) may say it
    /// instead.
    pub(super) used: usize,
}

impl<T, const CAP: usize> Ring<T, CAP> {
    /// What a message takes up.
    pub(super) const STEP: usize = if size_of::<T>() == 0 {
        1
    } else {
        size_of::<T>()
    };

    /// What there is room for. It fits into 63 bits, which can limit the number of messages without
    /// a size.
    pub(super) const BYTES: usize = if size_of::<T>() == 0 && CAP > isize::MAX.cast_unsigned() {
        isize::MAX.cast_unsigned()
    } else {
        CAP * Self::STEP
    };

    pub(super) const fn new() -> Self {
        Self {
            places: [const { MaybeUninit::uninit() }; CAP],
            first: 0,
            used: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.used / Self::STEP
    }

    #[inline(always)]
    pub(super) const fn has_room(&self) -> bool {
        self.used < Self::BYTES
    }

    /// Returns the position in the ring for one that may be behind its end.
    #[inline(always)]
    const fn wrapped(position: usize) -> usize {
        if Self::BYTES.is_power_of_two() {
            position & (Self::BYTES - 1)
        } else if position < Self::BYTES {
            position
        } else {
            position - Self::BYTES
        }
    }

    /// Returns the place at a position in the ring.
    #[inline(always)]
    const fn place(&mut self, position: usize) -> *mut T {
        let position = if size_of::<T>() == 0 { 0 } else { position };
        self.places.as_mut_ptr().wrapping_byte_add(position).cast()
    }

    /// Moves a message into the ring, behind the `used` bytes that are in use, which the caller
    /// counts.
    ///
    /// # Safety
    ///
    /// The ring must have room. `message` must point to a message, which is moved out by the call.
    #[inline(always)]
    pub(super) const unsafe fn put(&mut self, used: usize, message: *const T) {
        let place = self.place(Self::wrapped(self.first + used));
        // SAFETY: the caller's promise; as there is room, the place is there, and free.
        unsafe { ptr::copy_nonoverlapping(message, place, 1) };
    }

    /// Moves the oldest message out of the ring. The caller counts what is in use.
    ///
    /// # Safety
    ///
    /// The ring must contain a message, and `slot` must have room for one.
    #[inline(always)]
    pub(super) const unsafe fn take(&mut self, slot: *mut T) {
        let place = self.place(self.first);
        self.first = Self::wrapped(self.first + Self::STEP);
        // SAFETY: the caller's promise.
        unsafe { ptr::copy_nonoverlapping(place, slot, 1) };
    }

    /// Moves a message into the ring.
    ///
    /// # Safety
    ///
    /// The requirements of [`put`](Self::put) apply.
    pub(super) const unsafe fn push(&mut self, message: *const T) {
        // SAFETY: the caller's promise.
        unsafe { self.put(self.used, message) };
        self.used += Self::STEP;
    }

    /// Moves a message into the ring, in front of all others.
    ///
    /// # Safety
    ///
    /// The requirements of [`put`](Self::put) apply.
    pub(super) const unsafe fn push_front(&mut self, message: *const T) {
        let place = if self.first == 0 {
            Self::BYTES
        } else {
            self.first
        };
        self.first = place - Self::STEP;
        // SAFETY: the caller's promise; the place before the first is behind the last.
        unsafe { self.put(0, message) };
        self.used += Self::STEP;
    }

    /// Moves the oldest message out of the ring.
    ///
    /// # Safety
    ///
    /// The requirements of [`take`](Self::take) apply.
    pub(super) const unsafe fn pop(&mut self, slot: *mut T) {
        // SAFETY: the caller's promise.
        unsafe { self.take(slot) };
        self.used -= Self::STEP;
    }
}

impl<T, const CAP: usize> Drop for Ring<T, CAP> {
    fn drop(&mut self) {
        let mut message = MaybeUninit::<T>::uninit();
        while self.used > 0 {
            // SAFETY: there is one; nothing is in the slot, or it was dropped.
            unsafe { self.pop(message.as_mut_ptr()) };
            // SAFETY: one was moved there.
            unsafe { message.assume_init_drop() };
        }
    }
}
