//! A guarded stack that is no multiple of a page does not compile.
//@ code: E0080
//@ says: N must be a multiple of the page size
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::stack::GuardedStack;

#[cfg(not(feature = "fixed"))]
static BAD: GuardedStack<10240> = GuardedStack::new();
#[cfg(feature = "fixed")]
static BAD: GuardedStack<12288> = GuardedStack::new();

fn main() {
    let _ = &BAD;
}
