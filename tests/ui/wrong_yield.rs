//! A suspend takes the yielded type only.
//@ code: E0308
//@ says: expected `u8`, found `&str`
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Suspend};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    let fiber = Fiber::<(), u8, (), _>::new(STACK.take().unwrap(), |suspend: &Suspend<(), u8>, ()| {
        #[cfg(not(feature = "fixed"))]
        suspend.suspend("text");
        #[cfg(feature = "fixed")]
        suspend.suspend(1);
    });
    drop(fiber);
}
