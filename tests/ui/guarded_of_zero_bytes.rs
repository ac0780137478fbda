//! A guarded stack of zero bytes does not compile.
//@ code: E0080
//@ says: a guarded stack needs at least 8192 bytes
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::stack::GuardedStack;

#[cfg(not(feature = "fixed"))]
static BAD: GuardedStack<0> = GuardedStack::new();
#[cfg(feature = "fixed")]
static BAD: GuardedStack<8192> = GuardedStack::new();

fn main() {
    let _ = &BAD;
}
