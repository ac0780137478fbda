//! A guard cannot be lent to a fiber of a scope, which could wait with it.
//@ code: E0277
//@ says: cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{FiberPool, scope};
use kfiber::sync::{Condvar, Mutex};

static CELLS: FiberPool<65536, 2> = FiberPool::new();
static LOCK: Mutex<u32> = Mutex::new(0);
static CHANGED: Condvar = Condvar::new();

fn main() {
    let mut guard = LOCK.lock();
    let lent = &mut guard;
    scope(|scope| {
        #[cfg(not(feature = "fixed"))]
        scope.spawn(&CELLS, move || CHANGED.wait(lent)).unwrap().detach();
    });
}
