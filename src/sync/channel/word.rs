//! The word of a channel, which says in what state the channel is.
//!
//! ```text
//!   n ──a fiber waits for a message──► its receiver ──others come──► BUSY     the channel is unlocked
//!   each of them ◄────────────────────────────────────────────────► LOCKED
//! ```
//!
//! - `n`: the channel is open, nobody waits, and its messages take up `n` bytes.
//! - A receiver: the channel is open and empty, and only this receiver waits. It is in no line.
//! - `BUSY`: the channel is closed, or other fibers wait.

use super::receiver::Receiver;
use core::ptr;

const _: () = assert!(align_of::<Receiver<()>>() >= 8);

pub(super) type Word<T> = *mut Receiver<T>;

/// The bit of the word that is set if it is not a number of bytes.
const NOT_PLAIN: usize = 1 << (usize::BITS - 1);

/// Returns the word for a number of bytes.
pub(super) const fn of<T>(bytes: usize) -> Word<T> {
    ptr::without_provenance_mut(bytes)
}

/// Returns the word of a channel at which several fibers wait, or which is closed.
pub(super) const fn busy<T>() -> Word<T> {
    ptr::without_provenance_mut(usize::MAX - 1)
}

/// Returns the word of a channel that somebody accesses, for a few instructions.
pub(super) const fn locked<T>() -> Word<T> {
    ptr::without_provenance_mut(usize::MAX)
}

/// Returns the number of bytes, if the word is one.
#[inline(always)]
pub(super) fn plain<T>(word: Word<T>) -> Option<usize> {
    let is_plain = word.addr() & NOT_PLAIN == 0;
    is_plain.then(|| word.addr())
}

/// Returns the word for a receiver that waits alone: half its address, and the bit.
#[inline(always)]
pub(super) fn alone<T>(receiver: *const Receiver<T>) -> Word<T> {
    // The address is a multiple of eight, so this moves the bit to the highest place, and the other
    // words, which are no multiples of four, are different.
    receiver
        .cast_mut()
        .map_addr(|address| (address | 1).rotate_right(1))
}

/// Returns whether the word is a receiver that waits alone.
#[inline(always)]
pub(super) fn is_alone<T>(word: Word<T>) -> bool {
    // As signed numbers, those of bytes are positive, and `BUSY` and `LOCKED` are -2 and -1.
    word.addr().cast_signed() < busy::<T>().addr().cast_signed()
}

/// Returns the receiver that waits alone.
#[inline(always)]
pub(super) fn receiver_in<T>(word: Word<T>) -> *const Receiver<T> {
    word.map_addr(|address| address << 1)
}
