//! A suspend cannot be returned.
//@ says: lifetime may not live long enough
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Suspend};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    #[cfg(not(feature = "fixed"))]
    let fiber = Fiber::<(), (), &Suspend<(), ()>, _>::new(STACK.take().unwrap(), |suspend, ()| suspend);
    #[cfg(feature = "fixed")]
    let fiber = Fiber::<(), (), (), _>::new(STACK.take().unwrap(), |suspend: &Suspend<(), ()>, ()| suspend.suspend(()));
    drop(fiber);
}
