//! A stack cannot be taken from a local.
//@ code: E0597
//@ says: does not live long enough
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::stack::{Stack, Storage};

fn main() {
    #[cfg(not(feature = "fixed"))]
    let stack = Stack::<1024>::new();
    #[cfg(feature = "fixed")]
    static stack: Stack<1024> = Stack::new();
    let _taken = stack.take();
}
