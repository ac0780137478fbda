//! The id of a fiber.

use super::header::Header;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::num::NonZeroUsize;
use core::ptr;

/// The id of a fiber: the place where it lives, and a generation that distinguishes the fibers that
/// lived there one after another. The id of a fiber that has ended never denotes another fiber.
///
/// The generation has 32 bits: after 2³² further fibers in one place, an old id would be mistaken
/// for a new one.
#[derive(Clone, Copy)]
pub struct FiberId {
    pub(crate) header: *const Header,
    pub(crate) generation: u32,
}

// SAFETY: through an id only the state word of the header is used, which is atomic, and the
// header's loop, which is atomic as well. The memory is never given
// back, see `Unparker`.
unsafe impl Send for FiberId {}
// SAFETY: as above.
unsafe impl Sync for FiberId {}

impl FiberId {
    /// Returns the id of the fiber with this header and generation.
    ///
    /// # Safety
    ///
    /// The header must be in memory that stays readable forever.
    pub(crate) const unsafe fn new(header: *const Header, generation: u32) -> Self {
        Self { header, generation }
    }

    /// Returns the id of a fiber.
    ///
    /// # Safety
    ///
    /// `fiber` must be alive.
    pub(crate) unsafe fn of(fiber: *const Header) -> Self {
        // SAFETY: the caller's promise.
        let generation = unsafe { (*fiber).state.generation() };
        Self {
            header: fiber,
            generation,
        }
    }

    /// Returns the address of the memory that identifies the fiber: no two fibers that exist at the
    /// same time have the same. A later fiber in the same cell has it again, so compare ids where
    /// that matters.
    ///
    /// It is for interfaces that know threads as numbers other than zero.
    #[must_use]
    pub fn address(self) -> NonZeroUsize {
        // SAFETY: the header of a fiber is an object, and no object is at address zero.
        unsafe { NonZeroUsize::new_unchecked(self.header.addr()) }
    }

    pub(crate) const fn header(self) -> *const Header {
        self.header
    }
}

impl PartialEq for FiberId {
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self.header, other.header) && self.generation == other.generation
    }
}

impl Eq for FiberId {}

impl Hash for FiberId {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.header.addr(), self.generation).hash(hasher);
    }
}

impl fmt::Debug for FiberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{}", self.header.addr(), self.generation)
    }
}
