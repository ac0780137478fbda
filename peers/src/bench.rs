//! One thing that is measured, and that tells whether what it did was right.

use std::time::Duration;

/// A contender in a shape.
pub(crate) trait Bench {
    /// Does it `laps` times and returns how long that took.
    ///
    /// # Panics
    ///
    /// Panics if a word that came back was wrong.
    fn run(&mut self, laps: usize) -> Duration;

    /// Ends all fibers.
    ///
    /// # Panics
    ///
    /// Panics if one of them lost anything on the way.
    fn finish(self: Box<Self>);
}

/// A bench that may be wanted: its names, and how to set it up.
pub(crate) struct Plan {
    /// Whose it is.
    pub(crate) contender: &'static str,
    /// What is done.
    pub(crate) shape: &'static str,
    /// Operations of a lap.
    pub(crate) operations: usize,
    set_up: Box<dyn FnOnce() -> Box<dyn Bench>>,
}

impl Plan {
    /// One operation in a lap.
    pub(crate) fn new<B: Bench + 'static>(
        contender: &'static str,
        shape: &'static str,
        set_up: impl FnOnce() -> B + 'static,
    ) -> Self {
        Self {
            contender,
            shape,
            operations: 1,
            set_up: Box::new(|| Box::new(set_up())),
        }
    }

    /// As many operations in a lap.
    pub(crate) const fn laps_of(mut self, operations: usize) -> Self {
        self.operations = operations;
        self
    }

    /// Makes the fibers.
    pub(crate) fn set_up(self) -> Entry {
        Entry {
            contender: self.contender,
            shape: self.shape,
            operations: self.operations,
            bench: (self.set_up)(),
        }
    }
}

/// A bench that is set up.
pub(crate) struct Entry {
    /// Whose it is.
    pub(crate) contender: &'static str,
    /// What is done.
    pub(crate) shape: &'static str,
    /// Operations of a lap.
    pub(crate) operations: usize,
    /// Does it.
    pub(crate) bench: Box<dyn Bench>,
}

/// The sum of `first`, `first + 1` and so on, `count` of them.
pub(crate) const fn sum_from(first: usize, count: usize) -> usize {
    // One of the two factors is even; halving that one keeps the product exact when it wraps.
    let (a, b) = (count, count.wrapping_sub(1));
    let pairs = if a % 2 == 0 {
        (a / 2).wrapping_mul(b)
    } else {
        a.wrapping_mul(b / 2)
    };
    first.wrapping_mul(count).wrapping_add(pairs)
}

#[cfg(test)]
mod tests {
    use super::sum_from;

    #[test]
    fn sums_are_those_of_a_loop() {
        for count in 0..20 {
            assert_eq!(sum_from(5, count), (5..5 + count).sum::<usize>());
        }
    }
}
