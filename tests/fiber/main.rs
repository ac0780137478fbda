//! The asymmetric fiber on the host: values, destructors, nesting, and what it refuses.

mod closures;
mod lifecycle;
mod locals;
mod nesting;
mod refusals;
mod values;

use kfiber::stack::{Stack, StackHandle, Storage};

/// A stack of its own for each call; large enough for a debug build.
fn stack() -> StackHandle<Stack<{ 64 * 1024 }>> {
    fresh()
}

/// A stack of its own of any kind.
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

/// Counts how often its clones are dropped.
#[derive(Debug)]
struct Counted(std::rc::Rc<core::cell::Cell<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// A value whose drops are counted, and the counter.
fn counted() -> (Counted, std::rc::Rc<core::cell::Cell<usize>>) {
    let drops = std::rc::Rc::new(core::cell::Cell::new(0));
    (Counted(std::rc::Rc::clone(&drops)), drops)
}
