//! Stacks on the host: who may hold one, where it lies, and what is seen of its use.

mod bounds;
mod layout;
mod marks;
mod pool;
mod taking;

use kfiber::stack::{StackHandle, Storage};

/// A stack of its own for each call, as if from a static of its own.
#[expect(
    clippy::incompatible_msrv,
    reason = "only the library is built by the oldest compiler"
)]
fn fresh<T: Storage>() -> StackHandle<T> {
    // Not by way of a temporary, which would be larger than the stack of a fiber that asks for one.
    let memory = Box::<T>::new_zeroed();
    // SAFETY: an unused storage is all zero bytes.
    let storage: &'static T = Box::leak(unsafe { memory.assume_init() });
    storage.take().expect("nobody else has it")
}
