//! A pool of no stacks does not compile.
//@ code: E0080
//@ says: a stack pool needs at least one stack
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::stack::StackPool;

#[cfg(not(feature = "fixed"))]
static BAD: StackPool<1024, 0> = StackPool::new();
#[cfg(feature = "fixed")]
static BAD: StackPool<1024, 1> = StackPool::new();

fn main() {
    let _ = &BAD;
}
