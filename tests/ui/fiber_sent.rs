//! A fiber cannot be sent to another thread.
//@ code: E0277
//@ says: cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    let mut fiber = Fiber::new(STACK.take().unwrap(), |yielder: &Yielder<u32, u32>, number: u32| yielder.suspend(number)).unwrap();
    #[cfg(not(feature = "fixed"))]
    std::thread::spawn(move || drop(fiber.resume(1)));
    #[cfg(feature = "fixed")]
    let _ = fiber.resume(1);
}
