//! A pool of stacks below the minimum does not compile.
//@ code: E0080
//@ says: a stack needs at least 1024 bytes
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::stack::StackPool;

#[cfg(not(feature = "fixed"))]
static BAD: StackPool<128, 2> = StackPool::new();
#[cfg(feature = "fixed")]
static BAD: StackPool<1024, 2> = StackPool::new();

fn main() {
    let _ = &BAD;
}
