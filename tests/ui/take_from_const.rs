//! A stack cannot be taken from a const.
//@ code: E0716
//@ says: temporary value dropped while borrowed
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::stack::{Stack, Storage};

#[cfg(not(feature = "fixed"))]
const STACK: Stack<1024> = Stack::new();
#[cfg(feature = "fixed")]
static STACK: Stack<1024> = Stack::new();

fn main() {
    let _taken = STACK.take();
}
