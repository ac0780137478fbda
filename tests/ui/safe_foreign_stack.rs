//! Foreign memory is unsafe to bring.
//@ code: E0133
//@ says: is unsafe and requires unsafe
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::stack::ForeignStack;

fn main() {
    let bottom = std::ptr::without_provenance_mut(1);
    #[cfg(not(feature = "fixed"))]
    let _ = ForeignStack::new(bottom, 4096, 0);
    #[cfg(feature = "fixed")]
    let _ = unsafe { ForeignStack::new(bottom, 4096, 0) };
}
