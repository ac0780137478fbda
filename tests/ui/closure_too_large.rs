//! A closure too large for its stack does not compile.
//@ code: E0080
//@ says: is too large for this stack
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    #[cfg(not(feature = "fixed"))]
    let bytes = [1_u8; 4096];
    #[cfg(feature = "fixed")]
    let bytes = [1_u8; 64];
    let fiber = Fiber::<(), (), _, _>::new(STACK.take().unwrap(), move |_: &Yielder<(), ()>, ()| bytes[7]);
    drop(fiber);
}
