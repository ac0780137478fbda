//! Who holds what a fiber waits for, as plain words. A wait can use them without knowing what a
//! fiber is.

use core::ptr;

/// The word of an owner, without the flag. Its layout is defined in [`owner`](super::owner).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnerWord(pub(super) *const ());

// SAFETY: what is used through it of a header is the state, which is atomic.
unsafe impl Send for OwnerWord {}
// SAFETY: as above.
unsafe impl Sync for OwnerWord {}

impl OwnerWord {
    pub(crate) const NOBODY: Self = Self(ptr::null());

    pub(crate) const fn is_nobody(self) -> bool {
        self.0.is_null()
    }
}

/// Who holds what is waited for.
pub(crate) enum HeldBy {
    /// Nobody any more: the waiter is about to be served.
    Nobody,
    /// This fiber, which alone can give what is waited for.
    Fiber(OwnerWord),
    /// All of these fibers, which must give it back.
    Readers(Readers),
}

/// The fibers that read what another one wants to write.
#[derive(Clone, Copy)]
pub(crate) struct Readers {
    pub(crate) known: [OwnerWord; Self::KNOWN],
    /// The number of further readers.
    pub(crate) others: usize,
}

impl Readers {
    /// The number of readers that are recorded.
    pub(crate) const KNOWN: usize = 4;
    pub(crate) const NONE: Self = Self {
        known: [OwnerWord::NOBODY; Self::KNOWN],
        others: 0,
    };

    pub(crate) fn count(&self) -> usize {
        self.known().count() + self.others
    }

    pub(crate) fn known(&self) -> impl Iterator<Item = OwnerWord> {
        self.known.iter().copied().filter(|word| !word.is_nobody())
    }

    /// Adds a reader, which may be among the readers already.
    pub(crate) fn add(&mut self, word: OwnerWord) {
        match self.known.iter_mut().find(|place| place.is_nobody()) {
            Some(place) => *place = word,
            None => self.others += 1,
        }
    }

    /// Removes a reader that was added.
    pub(crate) fn remove(&mut self, word: OwnerWord) {
        match self.known.iter_mut().find(|place| **place == word) {
            Some(place) => *place = OwnerWord::NOBODY,
            None => self.others -= 1,
        }
    }
}
