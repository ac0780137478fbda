//! A yielder cannot be returned.
//@ says: lifetime may not live long enough
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    #[cfg(not(feature = "fixed"))]
    let fiber = Fiber::<(), (), &Yielder<(), ()>, _>::new(STACK.take().unwrap(), |yielder, ()| yielder);
    #[cfg(feature = "fixed")]
    let fiber = Fiber::<(), (), (), _>::new(STACK.take().unwrap(), |yielder: &Yielder<(), ()>, ()| yielder.suspend(()));
    drop(fiber);
}
