//! Interrupts cannot be turned on by a fiber of a scope that did not turn them off.
//@ code: E0277
//@ says: cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{FiberPool, scope};
use kfiber::sync::IrqMutex;

static CELLS: FiberPool<65536, 2> = FiberPool::new();
static LOCK: IrqMutex<u32> = IrqMutex::new(0);

fn main() {
    let guard = LOCK.lock();
    scope(|scope| {
        #[cfg(not(feature = "fixed"))]
        scope.spawn(&CELLS, move || drop(guard)).unwrap().detach();
    });
}
