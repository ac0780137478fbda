//! Who has what others wait for, in one word: a fiber, and a part of its generation.
//!
//! ```text
//!    63                                6 5          1    0
//!   ├───────────────────────────────────┼────────────┼──────┤
//!   │ address of the fiber's header     │ generation │ FLAG │    0: nobody
//!   └───────────────────────────────────┴────────────┴──────┘
//! ```
//!
//! A fiber may end without giving back what it has: its guard was leaked. The next fiber in the
//! same cell has the same header, and would be taken for the owner. The low five bits of the
//! generation tell the two apart. They are only five: the 32nd fiber in the cell after the one that
//! leaked, the 64th, and so on, is taken for it again, as long as it lives. That fiber is then
//! named in reports, is lent priority, and is refused the lock as one that has it already; it can
//! neither unlock it nor reach the value, for which one needs the guard.

pub(crate) use super::held_by::{HeldBy, OwnerWord, Readers};

use super::header::{Header, has_failed};
use super::id::FiberId;

/// The owner's own bit in a word that is stored.
pub(crate) const FLAG: usize = 1;

/// The bits of the generation.
const TAG_BITS: u32 = 5;
const TAG: usize = ((1 << TAG_BITS) - 1) << 1;

const _: () = assert!(
    align_of::<Header>() > FLAG | TAG,
    "the low bits of a header's address are free"
);

/// What a header keeps of the generation of its fiber, in place, so that locking costs no shift.
#[expect(clippy::cast_possible_truncation, reason = "cut to six bits before")]
pub(crate) const fn tag_of(generation: u32) -> u8 {
    ((generation as usize) << 1 & TAG) as u8
}

impl OwnerWord {
    /// The word of a fiber.
    ///
    /// # Safety
    ///
    /// It is alive.
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

    /// As [`of`](Self::of), of nobody if the pointer is null.
    ///
    /// # Safety
    ///
    /// It is null, or as there.
    pub(crate) unsafe fn of_or_nobody(fiber: *const Header) -> Self {
        if fiber.is_null() {
            return Self::NOBODY;
        }
        // SAFETY: the caller's promise.
        unsafe { Self::of(fiber) }
    }

    /// What is stored, be the flag set or not.
    #[inline(always)]
    pub(crate) fn from_stored(word: *mut Header) -> Self {
        Self(
            word.cast::<()>()
                .map_addr(|address| address & !FLAG)
                .cast_const(),
        )
    }

    /// To be stored.
    #[inline(always)]
    pub(crate) const fn raw(self) -> *mut Header {
        self.0.cast::<Header>().cast_mut()
    }

    /// The header, of which another fiber may be the owner by now.
    pub(crate) fn fiber(self) -> *const Header {
        self.0
            .cast::<Header>()
            .map_addr(|address| address & !(FLAG | TAG))
    }

    /// Whether this is the word of a fiber that runs.
    pub(crate) fn is_of(self, fiber: *const Header) -> bool {
        // SAFETY: it runs.
        !fiber.is_null() && unsafe { Self::of(fiber) } == self
    }

    /// The generation that the header has now.
    fn current_generation(self) -> u32 {
        // SAFETY: headers stay readable for good.
        unsafe { (*self.fiber()).state.generation() }
    }

    /// Whether the header still is that of the same fiber, which may have ended.
    pub(crate) fn is_current_generation(self) -> bool {
        !self.is_nobody() && usize::from(tag_of(self.current_generation())) == self.0.addr() & TAG
    }

    /// Whether it is somebody who has not ended.
    pub(crate) fn is_alive(self) -> bool {
        // SAFETY: headers stay readable for good.
        self.is_current_generation() && unsafe { !(*self.fiber()).state.is_finished() }
    }

    /// Whether it is somebody who fails, or has failed.
    pub(crate) fn has_failed(self) -> bool {
        has_failed(self.fiber()) && self.is_current_generation()
    }

    /// Which fiber, if it is one: of those with these bits, the latest.
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

    /// The name, if the header still has it.
    pub(crate) fn name(self) -> &'static str {
        if !self.is_current_generation() {
            return "";
        }
        // SAFETY: headers stay readable for good.
        unsafe { &*self.fiber() }.name()
    }
}
