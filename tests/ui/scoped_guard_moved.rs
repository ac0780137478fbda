//! A guard cannot be moved into a fiber of a scope, which would unlock for another.
//@ code: E0277
//@ says: cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{FiberPool, scope};
use kfiber::sync::Mutex;

static CELLS: FiberPool<65536, 2> = FiberPool::new();
static LOCK: Mutex<u32> = Mutex::new(0);

fn main() {
    let guard = LOCK.lock();
    scope(|scope| {
        #[cfg(not(feature = "fixed"))]
        scope.spawn(&CELLS, move || drop(guard)).unwrap().detach();
    });
}
