//! Storage is implemented by an unsafe impl only.
//@ code: E0200
//@ says: requires an `unsafe impl`
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::stack::{Stack, StackBounds, Storage};

struct Mine(Stack<1024>);

macro_rules! body {
    () => {
        const NEW: Self = Self(Stack::new());
        const SIZE_BYTES: usize = 1024;
        fn storage_bounds(&self) -> StackBounds {
            self.0.storage_bounds()
        }
    };
}
#[cfg(not(feature = "fixed"))]
impl Storage for Mine {
    body!();
}
#[cfg(feature = "fixed")]
unsafe impl Storage for Mine {
    body!();
}

fn main() {}
