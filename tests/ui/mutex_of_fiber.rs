//! A fiber cannot lie in a mutex of fibers, from which any could take it.
//@ code: E0277
//@ says: cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::Fiber;
use kfiber::stack::{Stack, StackHandle};
use kfiber::sync::Mutex;

#[cfg(not(feature = "fixed"))]
static FIBER: Mutex<Option<Fiber<(), (), (), StackHandle<Stack<65536>>>>> = Mutex::new(None);

fn main() {}
