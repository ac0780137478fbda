//! What a fiber of a scope captures is Send, as for a thread of a scope.
//@ code: E0277
//@ says: `Rc<i32>` cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{FiberPool, scope};
#[cfg(not(feature = "fixed"))]
use std::rc::Rc;
#[cfg(feature = "fixed")]
use std::sync::Arc as Rc;

static CELLS: FiberPool<65536, 2> = FiberPool::new();

fn main() {
    let count = Rc::new(5);
    scope(|scope| {
        let count = Rc::clone(&count);
        scope.spawn(&CELLS, move || drop(count)).unwrap().detach();
    });
}
