//! The result of a scoped fiber that is not Send stays on its core, and its handle too.
//@ code: E0277
//@ says: `Rc<i32>` cannot be sent between threads safely
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
