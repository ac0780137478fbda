//! A fiber of a scope cannot suspend the fiber in which the scope is.
//@ code: E0277
//@ says: cannot be shared between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{FiberPool, scope};
use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static CELLS: FiberPool<65536, 2> = FiberPool::new();
static STACK: Stack<65536> = Stack::new();

fn main() {
    let mut fiber = Fiber::new(STACK.take().unwrap(), |yielder: &Yielder<(), ()>, ()| {
        scope(|scope| {
            #[cfg(not(feature = "fixed"))]
            scope.spawn(&CELLS, || yielder.suspend(())).unwrap().detach();
        });
    })
    .unwrap();
    let _first = fiber.resume(());
}
