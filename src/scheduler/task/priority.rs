//! The priority of a fiber.

use core::fmt;

/// The priority of a fiber, from 0, the lowest, to 31, the highest.
///
/// The scheduler runs a ready fiber of the highest priority; fibers of equal priority take turns. A
/// ready fiber of the highest ready priority therefore runs after at most as many switches as there
/// are ready fibers of that priority. Fibers of lower priority run only when all fibers of higher
/// priority wait. A fiber that only yields and never waits should therefore not have a high
/// priority.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// The number of priorities.
    pub const COUNT: usize = 32;
    /// The lowest priority. A fiber with it runs only when no other fiber can.
    pub const LOWEST: Self = Self(0);
    /// The priority of a fiber that was given none.
    pub const NORMAL: Self = Self(16);
    /// The highest priority.
    pub const HIGHEST: Self = Self(31);

    /// Returns the priority of this level, or `None` if the level is above 31.
    #[must_use]
    pub const fn new(level: u8) -> Option<Self> {
        if level < 32 { Some(Self(level)) } else { None }
    }

    /// Returns the level, from 0 to 31.
    #[must_use]
    pub const fn level(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::NORMAL
    }
}

impl fmt::Debug for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Priority({})", self.0)
    }
}
