//! What is made once is shared from then on.
//@ code: E0277
//@ says: cannot be shared between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::sync::Once;

#[cfg(not(feature = "fixed"))]
type Value = std::cell::Cell<u32>;
#[cfg(feature = "fixed")]
type Value = std::sync::atomic::AtomicU32;

static SHARED: Once<Value> = Once::new();

fn main() {}
