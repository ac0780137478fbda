//! A closure cannot borrow a local.
//@ code: E0597
//@ says: does not live long enough
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    let mut count = 0;
    #[cfg(not(feature = "fixed"))]
    let count = &mut count;
    let fiber = Fiber::<(), (), (), _>::new(STACK.take().unwrap(), move |_: &Yielder<(), ()>, ()| {
        #[cfg(not(feature = "fixed"))]
        let count = &mut *count;
        #[cfg(feature = "fixed")]
        let count = &mut count;
        *count += 1;
    });
    drop(fiber);
}
