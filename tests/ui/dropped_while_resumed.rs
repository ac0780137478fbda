//! A fiber cannot be dropped while it is resumed.
//@ code: E0505
//@ says: cannot move out of `fiber`
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    let mut fiber = Fiber::new(STACK.take().unwrap(), |yielder: &Yielder<u32, u32>, number: u32| yielder.suspend(number)).unwrap();
    let borrow = &mut fiber;
    #[cfg(not(feature = "fixed"))]
    drop(fiber);
    let _ = borrow.resume(1);
}
