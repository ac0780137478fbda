//! Stack memory is implemented by an unsafe impl only.
//@ code: E0200
//@ says: requires an `unsafe impl`
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::stack::{StackBounds, StackMemory};

struct Mine(StackBounds);

#[cfg(not(feature = "fixed"))]
impl StackMemory for Mine {
    const SIZE_BYTES: usize = 0;
    fn bounds(&self) -> StackBounds {
        self.0
    }
}
#[cfg(feature = "fixed")]
unsafe impl StackMemory for Mine {
    const SIZE_BYTES: usize = 0;
    fn bounds(&self) -> StackBounds {
        self.0
    }
}

fn main() {}
