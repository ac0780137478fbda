//! A fiber of a scope cannot return the access of a writer.
//@ code: E0277
//@ says: cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{FiberPool, scope};
use kfiber::sync::RwLock;

static CELLS: FiberPool<65536, 2> = FiberPool::new();
static LOCK: RwLock<u32> = RwLock::new(0);

fn main() {

    scope(|scope| {
        #[cfg(not(feature = "fixed"))]
        scope.spawn(&CELLS, || LOCK.write()).unwrap().detach();
    });
}
