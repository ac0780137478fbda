//! How urgent a fiber is.

use core::fmt;

/// How urgent a fiber is: 0 is the least, 31 the most.
///
/// Among ready fibers the most urgent runs; equals take turns. So a ready fiber of the highest priority that is ready runs
/// after at most as many switches as there are ready fibers of its priority. Those of lower priority wait until all higher
/// ones wait for something: do not give a high priority to a fiber that only ever yields.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// How many there are.
    pub const COUNT: usize = 32;
    /// The least urgent: runs when nothing else can.
    pub const LOWEST: Self = Self(0);
    /// What a fiber has that was given none.
    pub const NORMAL: Self = Self(16);
    /// The most urgent.
    pub const HIGHEST: Self = Self(31);

    /// Returns the priority of this level, or nothing if it is above 31.
    #[must_use]
    pub const fn new(level: u8) -> Option<Self> {
        if level < 32 { Some(Self(level)) } else { None }
    }

    /// The level, from 0 to 31.
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
