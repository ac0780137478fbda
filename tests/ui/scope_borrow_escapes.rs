//! What a scoped fiber borrows outlives the scope.
//@ code: E0373
//@ says: may outlive borrowed value
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{FiberPool, scope};

static CELLS: FiberPool<65536, 2> = FiberPool::new();

fn main() {
    scope(|scope| {
        let number = 5;
        #[cfg(not(feature = "fixed"))]
        scope.spawn(&CELLS, || number + 1).unwrap().detach();
        #[cfg(feature = "fixed")]
        scope.spawn(&CELLS, move || number + 1).unwrap().detach();
    });
}
