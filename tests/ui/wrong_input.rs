//! A resume takes the input type only.
//@ code: E0308
//@ says: expected `u32`, found `&str`
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    let mut fiber = Fiber::new(STACK.take().unwrap(), |yielder: &Yielder<u32, u32>, number: u32| yielder.suspend(number)).unwrap();
    #[cfg(not(feature = "fixed"))]
    let _ = fiber.resume("text");
    #[cfg(feature = "fixed")]
    let _ = fiber.resume(1);
}
