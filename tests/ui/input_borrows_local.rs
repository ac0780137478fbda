//! A value that goes in cannot borrow a local.
//@ code: E0597
//@ says: does not live long enough
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    let mut fiber =
        Fiber::new(STACK.take().unwrap(), |_: &Yielder<_, ()>, text: &'static str| text.len()).unwrap();
    #[cfg(not(feature = "fixed"))]
    let text = String::from("local");
    #[cfg(feature = "fixed")]
    let text = "static";
    #[cfg(not(feature = "fixed"))]
    let text: &str = &text;
    let _ = fiber.resume(text);
}
