//! A fiber cannot be resumed through two borrows.
//@ code: E0499
//@ says: cannot borrow `fiber` as mutable more than once
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    let mut fiber = Fiber::new(STACK.take().unwrap(), |yielder: &Yielder<u32, u32>, number: u32| yielder.suspend(number)).unwrap();
    let one = &mut fiber;
    #[cfg(not(feature = "fixed"))]
    let other = &mut fiber;
    let _ = one.resume(1);
    #[cfg(feature = "fixed")]
    let other = &mut fiber;
    let _ = other.resume(2);
}
