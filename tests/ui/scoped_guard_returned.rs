//! A fiber of a scope cannot return a guard, which the owner would have without having locked.
//@ code: E0277
//@ says: cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{FiberPool, scope};
use kfiber::sync::Mutex;

static CELLS: FiberPool<65536, 2> = FiberPool::new();
static LOCK: Mutex<u32> = Mutex::new(0);

fn main() {

    scope(|scope| {
        #[cfg(not(feature = "fixed"))]
        scope.spawn(&CELLS, || LOCK.lock()).unwrap().detach();
    });
}
