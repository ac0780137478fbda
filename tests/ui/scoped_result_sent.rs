//! The result of a fiber of a scope crosses to another fiber, so it must be Send.
//@ code: E0277
//@ says: cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{FiberPool, scope};
#[cfg(not(feature = "fixed"))]
use std::rc::Rc;
#[cfg(feature = "fixed")]
use std::sync::Arc as Rc;

static CELLS: FiberPool<65536, 2> = FiberPool::new();

fn main() {
    scope(|scope| {
        let handle = scope.spawn(&CELLS, || Rc::new(5)).unwrap();
        std::thread::scope(|threads| {
            threads.spawn(move || drop(handle));
        });
    });
}
