//! A fiber of a scope cannot give back the access of another reader.
//@ code: E0277
//@ says: cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{FiberPool, scope};
use kfiber::sync::RwLock;

static CELLS: FiberPool<65536, 2> = FiberPool::new();
static LOCK: RwLock<u32> = RwLock::new(0);

fn main() {
    let guard = LOCK.read();
    scope(|scope| {
        #[cfg(not(feature = "fixed"))]
        scope.spawn(&CELLS, move || drop(guard)).unwrap().detach();
    });
}
