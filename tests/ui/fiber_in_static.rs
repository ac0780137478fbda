//! A fiber cannot lie in a static mutex.
//@ code: E0277
//@ says: cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::Fiber;
use kfiber::stack::{Stack, StackHandle};
use std::sync::Mutex;

type Kept = Fiber<(), (), (), StackHandle<Stack<4096>>>;

#[cfg(not(feature = "fixed"))]
static KEPT: Mutex<Option<Kept>> = Mutex::new(None);
#[cfg(feature = "fixed")]
thread_local! {
    static KEPT: Mutex<Option<Kept>> = const { Mutex::new(None) };
}

fn main() {
    let _ = &KEPT;
}
