//! A yielder cannot be kept in a static.
//@ code: E0521
//@ says: borrowed data escapes outside of closure
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

thread_local! {
    static KEPT: std::cell::Cell<Option<&'static Yielder<(), ()>>> = const { std::cell::Cell::new(None) };
}

fn main() {
    let fiber = Fiber::<(), (), (), _>::new(STACK.take().unwrap(), |yielder: &Yielder<(), ()>, ()| {
        #[cfg(not(feature = "fixed"))]
        KEPT.set(Some(yielder));
        yielder.suspend(());
    });
    drop(fiber);
    KEPT.set(None);
}
