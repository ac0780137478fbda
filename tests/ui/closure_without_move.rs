//! A closure that refers to locals must move them.
//@ code: E0373
//@ says: may outlive the current function
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Suspend};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    let text = String::from("local");
    #[cfg(not(feature = "fixed"))]
    let fiber = Fiber::<(), (), usize, _>::new(STACK.take().unwrap(), |_: &Suspend<(), ()>, ()| text.len());
    #[cfg(feature = "fixed")]
    let fiber = Fiber::<(), (), usize, _>::new(STACK.take().unwrap(), move |_: &Suspend<(), ()>, ()| text.len());
    drop(fiber);
}
