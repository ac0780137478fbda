//! A suspend cannot leave through a captured place.
//@ code: E0521
//@ says: borrowed data escapes outside of closure
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::fiber::{Fiber, Suspend};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<4096> = Stack::new();

use std::{cell::Cell, rc::Rc};

fn main() {
    let place = Rc::new(Cell::new(None::<&Suspend<(), ()>>));
    let inside = Rc::clone(&place);
    let fiber = Fiber::<(), (), (), _>::new(STACK.take().unwrap(), move |suspend: &Suspend<(), ()>, ()| {
        #[cfg(not(feature = "fixed"))]
        inside.set(Some(suspend));
        #[cfg(feature = "fixed")]
        inside.set(None);
        suspend.suspend(());
    });
    drop(fiber);
    place.set(None);
}
