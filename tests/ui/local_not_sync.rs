//! A fiber local that an interrupt handler could see in the middle of a change.
//@ code: E0599
//@ says: trait bounds were not satisfied
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::FiberLocal;

#[cfg(not(feature = "fixed"))]
type Value = std::cell::Cell<u32>;
#[cfg(feature = "fixed")]
type Value = std::sync::atomic::AtomicU32;

static LOCAL: FiberLocal<Value> = FiberLocal::new();

fn main() {
    LOCAL.bind(&Value::new(1), || ());
}
