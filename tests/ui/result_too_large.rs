//! A result too large for its stack does not compile.
//@ code: E0080
//@ says: is too large for this stack
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

#[cfg(not(feature = "fixed"))]
type Result = [u8; 3000]; // fits once, but is in the frame that returns it and in the slot
#[cfg(feature = "fixed")]
type Result = [u8; 300];

fn main() {
    let fiber = Fiber::<(), (), Result, _>::new(STACK.take().unwrap(), |_: &Yielder<(), ()>, ()| [1; _]);
    drop(fiber);
}
