//! A stack that a fiber has cannot be used.
//@ code: E0382
//@ says: use of moved value: `stack`
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    let stack = STACK.take().unwrap();
    let fiber = Fiber::<(), (), (), _>::new(stack, |_: &Yielder<(), ()>, ()| ()).unwrap();
    #[cfg(not(feature = "fixed"))]
    drop(stack);
    drop(fiber);
}
