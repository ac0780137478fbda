//! Messages go from fiber to fiber.
//@ code: E0277
//@ says: cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::sync::Channel;

#[cfg(not(feature = "fixed"))]
type Value = std::rc::Rc<u32>;
#[cfg(feature = "fixed")]
type Value = std::sync::Arc<u32>;

static SHARED: Channel<Value, 4> = Channel::new();

fn main() {}
