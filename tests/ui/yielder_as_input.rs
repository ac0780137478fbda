//! A yielder cannot be sent into a fiber inside.
//@ code: E0521
//@ says: borrowed data escapes outside of closure
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

static INNER: Stack<4096> = Stack::new();

fn main() {
    let fiber = Fiber::<(), (), (), _>::new(STACK.take().unwrap(), |outer: &Yielder<(), ()>, ()| {
        let mut inner = Fiber::new(INNER.take().unwrap(), |_: &Yielder<_, ()>, _sent: Option<&Yielder<(), ()>>| ()).unwrap();
        #[cfg(not(feature = "fixed"))]
        let _ = inner.resume(Some(outer));
        #[cfg(feature = "fixed")]
        let _ = inner.resume(None);
        outer.suspend(());
    });
    drop(fiber);
}
