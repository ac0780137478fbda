//! An input too large for its stack does not compile.
//@ code: E0080
//@ says: is too large for this stack
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

#[cfg(not(feature = "fixed"))]
type Input = [u8; 8192];
#[cfg(feature = "fixed")]
type Input = [u8; 300];

fn main() {
    let fiber = Fiber::<Input, (), (), _>::new(STACK.take().unwrap(), |_: &Yielder<Input, ()>, _: Input| ());
    drop(fiber);
}
