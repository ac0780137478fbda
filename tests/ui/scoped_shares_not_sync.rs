//! What two fibers of a scope share is Sync: one may wait in the middle of a change.
//@ code: E0277
//@ says: Cell<i32>` cannot be shared between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{FiberPool, scope};
#[cfg(not(feature = "fixed"))]
use std::cell::Cell;
#[cfg(feature = "fixed")]
use kfiber::sync::Mutex as Cell;

static CELLS: FiberPool<65536, 2> = FiberPool::new();

fn main() {
    let shared = Cell::new(5);
    scope(|scope| {
        scope.spawn(&CELLS, || drop(&shared)).unwrap().detach();
        scope.spawn(&CELLS, || drop(&shared)).unwrap().detach();
    });
}
