//! A fiber cannot be dropped while it is resumed.
//@ code: E0505
//@ says: cannot move out of `fiber`
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Suspend};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    let mut fiber = Fiber::new(STACK.take().unwrap(), |suspend: &Suspend<u32, u32>, number: u32| suspend.suspend(number)).unwrap();
    let borrow = &mut fiber;
    #[cfg(not(feature = "fixed"))]
    drop(fiber);
    let _ = borrow.resume(1);
}
