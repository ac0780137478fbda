//! What a mutex guards goes from fiber to fiber.
//@ code: E0277
//@ says: cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::sync::Mutex;

#[cfg(not(feature = "fixed"))]
type Value = Option<std::rc::Rc<u32>>;
#[cfg(feature = "fixed")]
type Value = Option<std::sync::Arc<u32>>;

static SHARED: Mutex<Value> = Mutex::new(None);

fn main() {}
