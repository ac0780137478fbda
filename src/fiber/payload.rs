//! The transport of values of any size in the one word that a switch carries.
//!
//! A value no larger than a word travels in the register itself. A larger value stays on the
//! sender's stack, and its address travels instead. The receiver moves the value out before the
//! sender can run again.

use crate::context::Payload;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr;

/// Returns the word that represents `*value`.
///
/// The receiver moves the value with [`unpack`]. Until then the value must stay in place.
///
/// # Safety
///
/// `value` points to a value that nothing else moves or drops.
#[inline(always)]
pub(super) const unsafe fn pack<T>(value: *const ManuallyDrop<T>) -> Payload {
    let mut word = Payload::uninit();
    if size_of::<T>() <= size_of::<usize>() {
        let (from, to) = (value.cast::<MaybeUninit<u8>>(), word.as_mut_ptr().cast());
        // SAFETY: the word is large enough. Byte by byte, so that alignment and uninitialised bytes do not matter.
        unsafe { ptr::copy_nonoverlapping(from, to, size_of::<T>()) };
    } else {
        // SAFETY: a pointer is as large as the word, and as aligned.
        unsafe {
            word.as_mut_ptr()
                .cast::<*const ManuallyDrop<T>>()
                .write(value);
        };
    }
    word
}

/// Moves out the value that `word` represents, and returns it.
///
/// # Safety
///
/// `word` comes from a [`pack`] of the same type whose value is still in place. It is unpacked only
/// once.
#[inline(always)]
pub(super) const unsafe fn unpack<T>(word: Payload) -> T {
    if size_of::<T>() <= size_of::<usize>() {
        // SAFETY: the word holds the bytes of a `T`, at its start.
        unsafe { word.as_ptr().cast::<T>().read_unaligned() }
    } else {
        // SAFETY: the word holds the address of a `T`.
        let value = unsafe { word.as_ptr().cast::<*const T>().read() };
        // SAFETY: the value is in place, and is moved only here.
        unsafe { value.read() }
    }
}
