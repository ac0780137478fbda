//! A fiber cannot be shared with another thread.
//@ code: E0277
//@ says: cannot be shared between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    let mut fiber = Fiber::new(STACK.take().unwrap(), |yielder: &Yielder<u32, u32>, number: u32| yielder.suspend(number)).unwrap();
    let _ = fiber.resume(1);
    std::thread::scope(|scope| {
        #[cfg(not(feature = "fixed"))]
        scope.spawn(|| fiber.is_finished());
        #[cfg(feature = "fixed")]
        scope.spawn(|| ());
    });
}
