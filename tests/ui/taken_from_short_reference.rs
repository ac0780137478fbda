//! A storage is taken through a reference that lasts for ever only.
//@ code: E0521
//@ says: borrowed data escapes outside of function
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::stack::{Stack, StackHandle, Storage};

#[cfg(not(feature = "fixed"))]
type Reference<'a> = &'a Stack<1024>;
#[cfg(feature = "fixed")]
type Reference<'a> = &'static Stack<1024>;

fn take(stack: Reference<'_>) -> Option<StackHandle<Stack<1024>>> {
    stack.take().ok()
}

fn main() {
    static STACK: Stack<1024> = Stack::new();
    let _ = take(&STACK);
}
