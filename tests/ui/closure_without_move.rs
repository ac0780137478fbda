//! A closure that refers to locals must move them.
//@ code: E0373
//@ says: may outlive the current function
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    let text = String::from("local");
    #[cfg(not(feature = "fixed"))]
    let fiber = Fiber::<(), (), usize, _>::new(STACK.take().unwrap(), |_: &Yielder<(), ()>, ()| text.len());
    #[cfg(feature = "fixed")]
    let fiber = Fiber::<(), (), usize, _>::new(STACK.take().unwrap(), move |_: &Yielder<(), ()>, ()| text.len());
    drop(fiber);
}
