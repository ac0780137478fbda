//! A yielder cannot be used by a fiber inside.
//@ code: E0521
//@ says: borrowed data escapes outside of closure
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

static INNER: Stack<4096> = Stack::new();

fn main() {
    let fiber = Fiber::<(), (), (), _>::new(STACK.take().unwrap(), |outer: &Yielder<(), ()>, ()| {
        let inner = Fiber::<(), (), (), _>::new(INNER.take().unwrap(), move |inner: &Yielder<(), ()>, ()| {
            #[cfg(not(feature = "fixed"))]
            outer.suspend(()); // would leave the inner fiber's frames under a fiber that goes on
            inner.suspend(());
        });
        drop(inner);
        outer.suspend(());
    });
    drop(fiber);
}
