//! A stack below the minimum does not compile.
//@ code: E0080
//@ says: a stack needs at least 1024 bytes
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::stack::Stack;

#[cfg(not(feature = "fixed"))]
static BAD: Stack<896> = Stack::new();
#[cfg(feature = "fixed")]
static BAD: Stack<1024> = Stack::new();

fn main() {
    let _ = &BAD;
}
