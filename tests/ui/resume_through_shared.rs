//! A fiber cannot be resumed through a shared reference.
//@ code: E0596
//@ says: as mutable
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    let mut fiber = Fiber::new(STACK.take().unwrap(), |yielder: &Yielder<u32, u32>, number: u32| yielder.suspend(number)).unwrap();
    #[cfg(not(feature = "fixed"))]
    let shared = &fiber;
    #[cfg(feature = "fixed")]
    let shared = &mut fiber;
    let _ = shared.resume(1);
}
