//! Stacks on the host: who may hold one, where it lies, and what is seen of its use.

mod bounds;
mod layout;
mod marks;
mod pool;
mod taking;

use kfiber::stack::{Storage, Taken};

/// A stack of its own for each call, as if from a static of its own.
fn fresh<T: Storage>() -> Taken<T> {
    Box::leak(Box::new(T::NEW))
        .take()
        .expect("nobody else has it")
}
