//! The handle on a scoped fiber does not leave the scope.
//@ says: lifetime may not live long enough
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{FiberPool, scope};

static CELLS: FiberPool<65536, 2> = FiberPool::new();

fn main() {
    let handle = scope(|scope| {
        let handle = scope.spawn(&CELLS, || 5).unwrap();
        #[cfg(not(feature = "fixed"))]
        return handle;
        #[cfg(feature = "fixed")]
        handle.detach();
    });
}
