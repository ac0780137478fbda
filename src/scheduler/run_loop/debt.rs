//! The fibers that a loop has yet to give to loops that asked for work.

/// How many fibers are owed, and to whom: see [`share`](super::share).
#[derive(Clone, Copy)]
pub(super) struct Debt {
    pub(super) count: usize,
    /// The loops that get them, a bit for each.
    pub(super) receivers: u64,
}

impl Debt {
    pub(super) const NONE: Self = Self {
        count: 0,
        receivers: 0,
    };
}
