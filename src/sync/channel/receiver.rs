//! A fiber that waits for a message, with the place for the message.

use crate::scheduler::task::header::Header;
use crate::sync::line::Waiter;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

/// A waiting receiver, which lies on the stack of its fiber.
#[repr(C)] // The address of the waiter is that of the receiver.
pub(super) struct Receiver<T> {
    /// Its note is written when it enters the line, and points to the receiver.
    pub(super) waiter: Waiter,
    slot: UnsafeCell<MaybeUninit<T>>,
}

impl<T> Receiver<T> {
    #[inline(always)]
    pub(super) const fn new(fiber: *const Header) -> Self {
        Self {
            waiter: Waiter::without_note(fiber),
            slot: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Returns the place for the message.
    #[inline(always)]
    pub(super) const fn slot(&self) -> *mut T {
        self.slot.get().cast()
    }

    /// Returns the message.
    ///
    /// # Safety
    ///
    /// The receiver must have been served.
    #[inline(always)]
    pub(super) const unsafe fn into_message(self) -> T {
        // SAFETY: whoever serves a receiver moves a message into its slot first.
        unsafe { self.slot.into_inner().assume_init() }
    }
}
