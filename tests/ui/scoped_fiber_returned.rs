//! A fiber of a scope cannot return a fiber that it began.
//@ code: E0277
//@ says: cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{FiberPool, scope};
use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static CELLS: FiberPool<65536, 2> = FiberPool::new();
static STACK: Stack<65536> = Stack::new();

fn main() {

    scope(|scope| {
        #[cfg(not(feature = "fixed"))]
        scope.spawn(&CELLS, || {
            let mut fiber = Fiber::new(STACK.take().unwrap(), |yielder: &Yielder<(), ()>, ()| {
                yielder.suspend(());
            })
            .unwrap();
            let _first = fiber.resume(());
            fiber
        }).unwrap().detach();
    });
}
