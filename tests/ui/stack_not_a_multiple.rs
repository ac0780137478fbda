//! A stack that is no multiple of 128 does not compile.
//@ code: E0080
//@ says: N must be a multiple of 128 bytes
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::stack::Stack;

#[cfg(not(feature = "fixed"))]
static BAD: Stack<4160> = Stack::new();
#[cfg(feature = "fixed")]
static BAD: Stack<4224> = Stack::new();

fn main() {
    let _ = &BAD;
}
