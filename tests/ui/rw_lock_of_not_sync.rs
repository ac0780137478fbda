//! What readers share is shareable.
//@ code: E0277
//@ says: cannot be shared between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::sync::RwLock;

#[cfg(not(feature = "fixed"))]
type Value = std::cell::Cell<u32>;
#[cfg(feature = "fixed")]
type Value = std::sync::atomic::AtomicU32;

static SHARED: RwLock<Value> = RwLock::new(Value::new(5));

fn main() {}
