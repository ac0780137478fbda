//! Two scoped fibers cannot both change one variable.
//@ code: E0499
//@ says: cannot borrow `number` as mutable more than once
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{FiberPool, scope};

static CELLS: FiberPool<65536, 2> = FiberPool::new();

fn main() {
    let mut number = 5;
    scope(|scope| {
        scope.spawn(&CELLS, || number += 1).unwrap().detach();
        #[cfg(not(feature = "fixed"))]
        scope.spawn(&CELLS, || number += 2).unwrap().detach();
    });
}
