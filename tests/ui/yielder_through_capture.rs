//! A yielder cannot leave through a captured place.
//@ code: E0521
//@ says: borrowed data escapes outside of closure
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Yielder};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

use std::{cell::Cell, rc::Rc};

fn main() {
    let place = Rc::new(Cell::new(None::<&Yielder<(), ()>>));
    let inside = Rc::clone(&place);
    let fiber = Fiber::<(), (), (), _>::new(STACK.take().unwrap(), move |yielder: &Yielder<(), ()>, ()| {
        #[cfg(not(feature = "fixed"))]
        inside.set(Some(yielder));
        #[cfg(feature = "fixed")]
        inside.set(None);
        yielder.suspend(());
    });
    drop(fiber);
    place.set(None);
}
