//! A handle on a stack cannot be cloned.
//@ code: E0599
//@ says: no method named `clone`
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    let stack = STACK.take().unwrap();
    #[cfg(not(feature = "fixed"))]
    drop(stack.clone());
    drop(stack);
}
