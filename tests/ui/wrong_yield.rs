//! A yielder takes the yielded type only.
//@ code: E0308
//@ says: expected `u8`, found `&str`
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    let fiber = Fiber::<(), u8, (), _>::new(STACK.take().unwrap(), |yielder: &Yielder<(), u8>, ()| {
        #[cfg(not(feature = "fixed"))]
        yielder.suspend("text");
        #[cfg(feature = "fixed")]
        yielder.suspend(1);
    });
    drop(fiber);
}
