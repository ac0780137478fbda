//! A scope cannot make fibers from another thread.
//@ code: E0277
//@ says: cannot be shared between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{FiberPool, scope};

static CELLS: FiberPool<65536, 2> = FiberPool::new();

fn main() {
    scope(|scope| {
        std::thread::scope(|threads| {
            #[cfg(not(feature = "fixed"))]
            threads.spawn(|| scope.spawn(&CELLS, || ()).unwrap().detach());
        });
    });
}
