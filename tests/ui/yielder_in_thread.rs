//! A yielder cannot be used by another thread.
//@ code: E0277
//@ says: cannot be shared between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

fn main() {
    let fiber = Fiber::<(), (), (), _>::new(STACK.take().unwrap(), |yielder: &Yielder<(), ()>, ()| {
        std::thread::scope(|scope| {
            #[cfg(not(feature = "fixed"))]
            scope.spawn(|| yielder.suspend(()));
            #[cfg(feature = "fixed")]
            scope.spawn(|| ());
        });
        yielder.suspend(());
    });
    drop(fiber);
}
