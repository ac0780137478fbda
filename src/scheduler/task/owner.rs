//! The owner of a lock in one word: a fiber, and a part of its generation.
//!
//! ```text
//!    63                                6 5          1    0
//!   ├───────────────────────────────────┼────────────┼──────┤
//!   │ address of the fiber's header     │ generation │ FLAG │    0: nobody
//!   └───────────────────────────────────┴────────────┴──────┘
//! ```
//!
//! A fiber may end without unlocking, if its guard was leaked. The next fiber in the same cell has
//! the same header, and would be mistaken for the owner. The low five bits of the generation
//! distinguish the two. Since they are only five, the 32nd fiber in the cell after the one that
//! leaked, the 64th, and so on, is still mistaken for the owner as long as it lives. Reports then
//! name that fiber, it inherits priority, and it is refused the lock because it seems to own it
//! already. It can neither unlock the lock nor access the value, because both need the guard.

pub(crate) use super::held_by::{HeldBy, OwnerWord, Readers};

use super::header::{Header, has_failed};
use super::id::FiberId;

/// The flag bit of a stored word, whose meaning the lock defines.
pub(crate) const FLAG: usize = 1;

/// The number of bits of the generation in the word.
const TAG_BITS: u32 = 5;
const TAG: usize = ((1 << TAG_BITS) - 1) << 1;

const _: () = assert!(
    align_of::<Header>() > FLAG | TAG,
    "the low bits of a header's address are free"
);

/// Returns the part of the generation that a header keeps, already shifted into place, so that
/// locking needs no shift.
#[expect(clippy::cast_possible_truncation, reason = "cut to six bits before")]
pub(crate) const fn tag_of(generation: u32) -> u8 {
    ((generation as usize) << 1 & TAG) as u8
}

impl OwnerWord {
    /// Returns the word of a fiber.
    ///
    /// # Safety
    ///
    /// The fiber must be alive.
    #[inline(always)]
    pub(crate) unsafe fn of(fiber: *const Header) -> Self {
        // SAFETY: the caller's promise.
        let tag = unsafe { (*fiber).tag.get() };
        Self(
            fiber
                .cast::<()>()
                .map_addr(|address| address | usize::from(tag)),
        )
    }

    /// Behaves like [`of`](Self::of), but returns the word of nobody for a null pointer.
    ///
    /// # Safety
    ///
    /// The pointer must be null, or satisfy the requirements of [`of`](Self::of).
    pub(crate) unsafe fn of_or_nobody(fiber: *const Header) -> Self {
        if fiber.is_null() {
            return Self::NOBODY;
        }
        // SAFETY: the caller's promise.
        unsafe { Self::of(fiber) }
    }

    /// Returns the owner in a stored word, without the flag.
    #[inline(always)]
    pub(crate) fn from_stored(word: *mut Header) -> Self {
        Self(
            word.cast::<()>()
                .map_addr(|address| address & !FLAG)
                .cast_const(),
        )
    }

    /// Returns the word as it is stored.
    #[inline(always)]
    pub(crate) const fn raw(self) -> *mut Header {
        self.0.cast::<Header>().cast_mut()
    }

    /// Returns the header. It may belong to another fiber by now.
    pub(crate) fn fiber(self) -> *const Header {
        self.0
            .cast::<Header>()
            .map_addr(|address| address & !(FLAG | TAG))
    }

    /// Returns whether this is the word of a fiber that runs.
    pub(crate) fn is_of(self, fiber: *const Header) -> bool {
        // SAFETY: it runs.
        !fiber.is_null() && unsafe { Self::of(fiber) } == self
    }

    /// Returns the current generation of the header.
    fn current_generation(self) -> u32 {
        // SAFETY: headers stay readable for good.
        unsafe { (*self.fiber()).state.generation() }
    }

    /// Returns whether the header still belongs to the same fiber, which may have ended.
    pub(crate) fn is_current_generation(self) -> bool {
        !self.is_nobody() && usize::from(tag_of(self.current_generation())) == self.0.addr() & TAG
    }

    /// Returns whether the owner is a fiber that has not ended.
    pub(crate) fn is_alive(self) -> bool {
        // SAFETY: headers stay readable for good.
        self.is_current_generation() && unsafe { !(*self.fiber()).state.is_finished() }
    }

    /// Returns whether the owner is a fiber that has failed. With one core it may be one that fails,
    /// since nobody else asks before it has ended.
    ///
    /// With several cores others could take away what it owns while it is reported. Hooks run in it
    /// then, and may lock and unlock.
    pub(crate) fn has_failed(self) -> bool {
        #[cfg(feature = "smp")]
        // SAFETY: headers stay readable for good.
        if unsafe { self.fiber().as_ref() }.is_some_and(|fiber| !fiber.state.is_finished()) {
            return false;
        }
        has_failed(self.fiber()) && self.is_current_generation()
    }

    /// Returns the id of the owner, if there is one. Among the fibers with these bits, it is the
    /// latest.
    pub(crate) fn id(self) -> Option<FiberId> {
        if self.is_nobody() {
            return None;
        }
        let now = self.current_generation();
        let tag = u32::try_from((self.0.addr() & TAG) >> 1).expect("five bits");
        let ago = now.wrapping_sub(tag) & ((1 << TAG_BITS) - 1);
        // SAFETY: headers stay readable for good.
        Some(unsafe { FiberId::new(self.fiber(), now.wrapping_sub(ago)) })
    }

    /// Returns the name of the owner, if the header still has it.
    pub(crate) fn name(self) -> &'static str {
        if !self.is_current_generation() {
            return "";
        }
        // SAFETY: headers stay readable for good.
        unsafe { &*self.fiber() }.name_of_any()
    }
}
