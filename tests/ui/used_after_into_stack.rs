//! A fiber that gave its stack back cannot be resumed.
//@ code: E0382
//@ says: borrow of moved value: `fiber`
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    let mut fiber = Fiber::new(STACK.take().unwrap(), |yielder: &Yielder<u32, u32>, number: u32| yielder.suspend(number)).unwrap();
    let _ = fiber.resume(1);
    let stack = fiber.into_stack();
    #[cfg(not(feature = "fixed"))]
    let _ = fiber.resume(2);
    drop(stack);
}
